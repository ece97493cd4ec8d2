/// How the next token is chosen from the model's logits.
public struct Sampling: Sendable, Equatable {
    /// Logits are divided by it; 0 takes the largest (the first of several), whatever the other settings are.
    public var temperature: Double
    /// Only so many of the largest logits (and those equal to the last of them) are drawn from; nil: all.
    public var topK: Int?
    /// Of these, the fewest of the most likely whose probabilities add up to this.
    public var topP: Double
    public var seed: UInt64

    public init(temperature: Double = 0, topK: Int? = nil, topP: Double = 1, seed: UInt64 = 42) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.seed = seed
    }

    /// The random numbers of one completion; number i chooses its token i.
    package func random(prompt: Int, sample: Int) -> CounterRandom { CounterRandom(seed: seed, name: "generation.\(prompt).\(sample)") }
}

/// What a generation is to do with each prompt.
public struct GenerationSettings: Sendable, Equatable {
    /// New tokens of a completion at most.
    public var maxTokens: Int
    public var sampling: Sampling
    /// A completion's text ends before the first occurrence of any of them.
    public var stopStrings: [String]
    /// Completions of each prompt.
    public var sampleCount: Int
    /// Of one prompt.
    public static let mostSamples = 10_000

    public init(maxTokens: Int, sampling: Sampling = Sampling(), stopStrings: [String] = [], sampleCount: Int = 1) {
        self.maxTokens = maxTokens
        self.sampling = sampling
        self.stopStrings = stopStrings
        self.sampleCount = sampleCount
    }

    /// - Throws: `GenerationError.badSetting`.
    public func check() throws(GenerationError) {
        func require(_ name: String, _ expected: String, _ found: some CustomStringConvertible, _ holds: Bool) throws(GenerationError) {
            if !holds { throw .badSetting(name: name, expected: expected, found: "\(found)") }
        }
        try require("max-tokens", "at least 1", maxTokens, maxTokens >= 1)
        try require("samples", "1 to \(Self.mostSamples)", sampleCount, (1...Self.mostSamples).contains(sampleCount))
        try require("temperature", "0 or more", sampling.temperature, sampling.temperature >= 0 && sampling.temperature.isFinite)
        try require("top-k", "at least 1", sampling.topK ?? 1, sampling.topK ?? 1 >= 1)
        try require("top-p", "more than 0 and at most 1", sampling.topP, sampling.topP > 0 && sampling.topP <= 1)
        try require("stop", "a text", "an empty one", !stopStrings.contains(""))
    }

    /// That every prompt is there, fits the model with what may follow it, and is of its vocabulary.
    ///
    /// - Throws: `GenerationError.emptyPrompt`, `.tooLong`, `.tokenOutOfRange`.
    public func check(prompts: [[Int32]], config: LlamaConfig) throws(GenerationError) {
        for (index, prompt) in prompts.enumerated() {
            guard !prompt.isEmpty else { throw .emptyPrompt(number: index + 1) }
            guard prompt.count <= config.maxPositionCount - maxTokens else {
                throw .tooLong(number: index + 1, prompt: prompt.count, maxTokens: maxTokens, positions: config.maxPositionCount)
            }
            for id in prompt where id < 0 || Int(id) >= config.vocabularySize {
                throw .tokenOutOfRange(number: index + 1, token: Int(id), vocabularySize: config.vocabularySize)
            }
        }
    }
}

/// What the model wrote behind a prompt.
public struct Completion: Sendable, Equatable {
    public enum End: String, Sendable {
        /// A token that ends a text.
        case stopToken = "eos"
        case stopString = "stop"
        case maxTokens = "length"
    }

    /// Of the prompts, from 0; and of its completions.
    public var prompt: Int
    public var sample: Int
    /// All that were generated, without the token that ended the text; those of a stop string are among them.
    public var tokenIDs: [Int32]
    /// Ends before the stop string.
    public var text: String
    public var end: End

    public init(prompt: Int, sample: Int, tokenIDs: [Int32], text: String, end: End) {
        self.prompt = prompt
        self.sample = sample
        self.tokenIDs = tokenIDs
        self.text = text
        self.end = end
    }

    public var json: JSONValue {
        [
            "prompt": .integer(prompt), "sample": .integer(sample), "text": .string(text), "tokens": .array(tokenIDs.map { .integer(Int($0)) }),
            "end": .string(end.rawValue),
        ]
    }

    /// What `json` says; nil for another value.
    package init?(json: JSONValue) {
        guard let prompt = json["prompt"]?.intValue, let sample = json["sample"]?.intValue, let text = json["text"]?.stringValue,
            let tokens = json["tokens"]?.arrayValue, let end = json["end"]?.stringValue.flatMap(End.init)
        else { return nil }
        self.init(prompt: prompt, sample: sample, tokenIDs: tokens.compactMap { $0.intValue.map { Int32($0) } }, text: text, end: end)
    }
}

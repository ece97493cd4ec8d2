import Foundation
import LoRAMEngine

/// New text of one completion, in whole characters.
public struct TextPiece: Sendable, Equatable {
    public var prompt: Int
    public var sample: Int
    public var text: String
    /// Nothing follows.
    public var isLast: Bool

    public init(prompt: Int, sample: Int, text: String, isLast: Bool) {
        self.prompt = prompt
        self.sample = sample
        self.text = text
        self.isLast = isLast
    }
}

/// Goes on from prompts with a model that is spread over the grid: over the stages by layers, over the replicas by prompts.
///
/// A completion depends on its prompt, the prompt's number, the sample's number and the settings alone: not on the grid, not on how many
/// sequences are under way at once, not on the other prompts.
public final class TextGenerator {
    /// What the last call of `generate` did, on all replicas together.
    public struct Statistics: Sendable, Equatable {
        /// Tokens of prompts, and how many of these were taken over from a prompt that begins alike.
        public var promptTokens = 0
        public var reusedTokens = 0
        public var generatedTokens = 0
        public var seconds = 0.0

        public var tokensPerSecond: Double { seconds > 0 ? Double(generatedTokens) / seconds : 0 }
    }

    private let stage: ModelStage
    private let seat: ProcessGrid.Seat
    private let tokenizer: any Tokenizer
    private let batchSize: Int
    private let stopTokenIDs: Set<Int32>
    private let marker: ProgressMarker
    private var cached: GenerationStage?
    public private(set) var statistics = Statistics()

    /// All ranks of the grid make one.
    ///
    /// - Parameters:
    ///   - stage: one that does not train, with or without an adapter; its own buffers are not used.
    ///   - batchSize: sequences under way at once in each replica; up to `GenerationStage.rowsTogether` share one reading of the weights.
    ///   - stopTokenIDs: those that end a text; nil: EOS of the model's config and of the tokenizer.
    public init(
        stage: ModelStage, seat: ProcessGrid.Seat, tokenizer: any Tokenizer, batchSize: Int = GenerationStage.rowsTogether,
        stopTokenIDs: Set<Int32>? = nil, marker: ProgressMarker
    ) {
        self.stage = stage
        self.seat = seat
        self.tokenizer = tokenizer
        self.batchSize = max(batchSize, 1)
        self.stopTokenIDs = stopTokenIDs ?? StopTokens.of(stage.config, tokenizer: tokenizer)
        self.marker = marker
    }

    /// All ranks call this with the same arguments.
    ///
    /// - Parameter onText: gets text as it comes, on rank 0: of the prompts of its own replica, which are every `replicas`-th from the first.
    /// - Returns: on rank 0 all completions, in the order of the prompts and their samples; on the others none.
    /// - Throws: `GenerationError`; `MPIError`.
    public func generate(_ prompts: [[Int32]], _ settings: GenerationSettings, onText: ((TextPiece) -> Void)? = nil) throws -> [Completion] {
        let start = ContinuousClock.now, samples = settings.sampleCount
        try seat.training.together {
            try settings.check()
            try settings.check(prompts: prompts, config: stage.config)
        }
        let own = prompts.indices.filter { $0 % seat.replicas.size == seat.position.replica }
        let keys = own.flatMap { prompt in (0..<samples).map { (prompt: prompt, sample: $0) } }
        var progress = keys.map {
            CompletionProgress(prompt: prompts[$0.prompt], settings: settings, stopTokenIDs: stopTokenIDs, tokenizer: tokenizer)
        }
        let longest = prompts.reduce(0) { max($0, $1.count) } + settings.maxTokens
        let generating = try seat.training.together { try generationStage(sequences: min(batchSize, max(keys.count, 1)), positions: longest) }
        var reused = 0
        if !keys.isEmpty {
            let pipeline = GenerationPipeline(
                stage: generating, pipeline: seat.pipeline, groupLimit: groupCount(generating.capacity.sequences), marker: marker)
            let sampler = TokenSampler(settings.sampling, vocabularySize: stage.config.vocabularySize, rows: GenerationStage.rowsTogether)
            let randoms = keys.map { settings.sampling.random(prompt: $0.prompt, sample: $0.sample) }
            let reports = seat.pipeline.rank == 0 && seat.position.replica == 0 ? onText : nil
            reused = try pipeline.run(
                keys.map { prompts[$0.prompt] }, slots: generating.capacity.sequences,
                choose: { sequences, logits in
                    try sampler.tokens(stage.threadPool, logits: logits, count: sequences.count) { row in
                        let number = progress[sequences[row]].tokenIDs.count
                        return (number, randoms[sequences[row]].uniform(at: UInt64(number)))
                    }
                },
                take: { sequence, token in
                    let text = progress[sequence].append(token), isLast = progress[sequence].end != nil
                    if let reports, isLast || !text.isEmpty {
                        reports(TextPiece(prompt: keys[sequence].prompt, sample: keys[sequence].sample, text: text, isLast: isLast))
                    }
                    return !isLast
                })
        }
        let completions = zip(progress, keys).compactMap { $0.completion(prompt: $1.prompt, sample: $1.sample) }
        // Replicas with short texts wait for those with long ones: the watchdog is not to end them for it.
        try seat.training.patientBarrier { [marker] in marker.touch() }
        let result = try gather(completions)
        try sum(promptTokens: keys.reduce(0) { $0 + prompts[$1.prompt].count }, reused: reused, generated: progress.reduce(0) { $0 + $1.tokenIDs.count })
        statistics.seconds = (ContinuousClock.now - start) / .seconds(1)
        return result
    }

    private func groupCount(_ sequences: Int) -> Int { (sequences + GenerationStage.rowsTogether - 1) / GenerationStage.rowsTogether }

    /// The stage with a cache that is large enough: the last one, or a new one.
    private func generationStage(sequences: Int, positions: Int) throws -> GenerationStage {
        if let cached, cached.capacity.sequences >= sequences, cached.capacity.positions >= positions { return cached }
        let capacity = GenerationCapacity(
            sequences: max(sequences, cached?.capacity.sequences ?? 0), positions: max(positions, cached?.capacity.positions ?? 0))
        // The old one's memory goes first.
        cached = nil
        let made = try GenerationStage(stage: stage, capacity: capacity)
        cached = made
        return made
    }

    /// The first stages of all replicas have all that was generated.
    private func gather(_ completions: [Completion]) throws -> [Completion] {
        guard stage.range.isFirst else { return [] }
        let own = Data(JSONValue.array(completions.map(\.json)).serializedBytes())
        guard let parts = try seat.replicas.gather(own, root: 0) else { return [] }
        return try parts.flatMap { part in try JSONValue.parse([UInt8](part)).arrayValue?.compactMap { Completion(json: $0) } ?? [] }
            .sorted { ($0.prompt, $0.sample) < ($1.prompt, $1.sample) }
    }

    private func sum(promptTokens: Int, reused: Int, generated: Int) throws {
        // Every stage has counted the same.
        var counts = [promptTokens, reused, generated].map { stage.range.isFirst ? Int64($0) : 0 }
        try counts.withUnsafeMutableBufferPointer { try seat.training.allReduce($0.baseAddress!, count: 3, .sum) }
        (statistics.promptTokens, statistics.reusedTokens, statistics.generatedTokens) = (Int(counts[0]), Int(counts[1]), Int(counts[2]))
    }
}

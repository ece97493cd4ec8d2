/// HumanEval's functions to be completed, the programs that test the completions, and how often one of k samples passes.
public struct HumanEvalData: Sendable {
    public struct Settings: Sendable, Equatable {
        /// `task_id`, `prompt`, `test`, `entry_point`.
        public var path: String
        public var limit: Int?
        /// Completions of each function, at each temperature.
        public var samples: Int
        /// The best one counts; at 0 all samples are the same, so that one is made.
        public var temperatures: [Double]
        public var topP: Double
        public var maxTokens: Int
        public var seed: UInt64

        public init(
            path: String, limit: Int? = nil, samples: Int = 10, temperatures: [Double] = [0, 0.2, 0.4, 0.6, 0.8], topP: Double = 0.95, maxTokens: Int = 512,
            seed: UInt64 = 42
        ) {
            self.path = path
            self.limit = limit
            self.samples = samples
            self.temperatures = temperatures
            self.topP = topP
            self.maxTokens = maxTokens
            self.seed = seed
        }

        /// Completions that are made at a temperature.
        public func made(at temperature: Double) -> Int { temperature == 0 ? 1 : samples }
    }

    /// Behind a function's body.
    public static let stopStrings = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]

    public let settings: Settings
    public let prompts: [String]
    private let identifiers: [String]
    private let tests: [String]

    /// - Throws: `DatasetError`
    public init(_ settings: Settings) throws {
        self.settings = settings
        let file = try DatasetFile(path: settings.path, format: nil)
        var prompts: [String] = [], identifiers: [String] = [], tests: [String] = []
        for index in 0..<min(settings.limit ?? .max, file.recordCount) {
            let record = try RecordReader(file: file, record: index, format: .text)
            prompts.append(try record.string("prompt"))
            identifiers.append(try record.string("task_id"))
            tests.append("\(try record.string("test"))\ncheck(\(try record.string("entry_point")))")
        }
        (self.prompts, self.identifiers, self.tests) = (prompts, identifiers, tests)
    }

    /// What is run to see whether a completion does what it should.
    public func program(_ question: Int, _ completion: String) -> String { "\(prompts[question])\(completion)\n\(tests[question])" }

    /// pass@k of n samples, c of which passed: the chance that of k drawn without replacement one passes. nil for fewer samples than k.
    ///
    /// 1 - prod_{i = n-c+1 ... n} (1 - k/i): Chen et al. 2021, equation 1.
    public static func passAtK(samples n: Int, passed c: Int, k: Int) -> Double? {
        guard n >= k else { return nil }
        if n - c < k { return 1 }
        return 1 - (n - c + 1..<n + 1).reduce(1.0) { $0 * (1 - Double(k) / Double($1)) }
    }

    /// One sample of one question.
    public struct Sample: Sendable {
        public var question: Int
        public var sample: Int
        public var completion: String
        public var outcome: ProgramSandbox.Outcome

        public init(question: Int, sample: Int, completion: String, outcome: ProgramSandbox.Outcome) {
            self.question = question
            self.sample = sample
            self.completion = completion
            self.outcome = outcome
        }
    }

    /// - Parameter samples: by temperature, as `settings.temperatures`; `settings.made(at:)` of each question.
    public func score(_ samples: [[Sample]]) -> GenerationScore {
        precondition(samples.count == settings.temperatures.count)
        var log: [JSONValue] = [], tables: [[GenerationScore.Measure]] = []
        for (temperature, samples) in zip(settings.temperatures, samples) {
            let made = settings.made(at: temperature)
            var passed = [Int](repeating: 0, count: prompts.count)
            for sample in samples {
                passed[sample.question] += sample.outcome == .passed ? 1 : 0
                log.append([
                    "task": .string(GenerationTask.humaneval.rawValue), "index": .integer(sample.question), "task_id": .string(identifiers[sample.question]),
                    "temperature": .double(temperature), "sample": .integer(sample.sample), "completion": .string(sample.completion),
                    "passed": .bool(sample.outcome == .passed), "result": .string(sample.outcome.text),
                ])
            }
            // What is made once stands for all that would be the same.
            let counts = passed.map { $0 * settings.samples / made }
            tables.append(
                [1, 10].filter { $0 <= settings.samples }.map { k in
                    .init(name: "pass@\(k)", values: counts.map { Self.passAtK(samples: settings.samples, passed: $0, k: k) ?? 0 })
                })
        }
        // The first of the best.
        let best = (tables.first ?? []).indices.map { k in tables.indices.reduce(0) { tables[$1][k].mean > tables[$0][k].mean ? $1 : $0 } }
        let details: [JSONMember] =
            [JSONMember("samples", .integer(settings.samples))]
            + best.indices.map { JSONMember("\(tables[0][$0].name)_temperature", .double(settings.temperatures[best[$0]])) }
            + [
                JSONMember(
                    "temperatures",
                    .array(
                        zip(settings.temperatures, tables).map { temperature, measures in
                            .object(
                                [JSONMember("temperature", .double(temperature))]
                                    + measures.flatMap { [JSONMember($0.name, .double($0.mean)), JSONMember("\($0.name)_stderr", .double($0.standardError))] })
                        }))
            ]
        return GenerationScore(
            task: .humaneval, questionCount: prompts.count, measures: best.indices.map { tables[best[$0]][$0] }, details: details, log: log)
    }
}

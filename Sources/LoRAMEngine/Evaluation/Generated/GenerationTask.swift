/// The benchmarks whose answers a model writes.
public enum GenerationTask: String, Sendable, CaseIterable {
    /// Grade-school mathematics with worked examples: gsm8k_cot of lm-evaluation-harness.
    case gsm8k = "gsm8k_cot"
    /// Python functions, run against their tests.
    case humaneval
}

/// Any benchmark.
public enum EvaluationTask: Sendable, Equatable {
    case choice(ChoiceTask)
    case generation(GenerationTask)

    public static let names = (ChoiceTask.allCases.map(\.rawValue) + GenerationTask.allCases.map(\.rawValue)).joined(separator: ", ")

    /// - Throws: `EvaluationError.unknownTask`
    public static func named(_ name: String) throws(EvaluationError) -> EvaluationTask {
        if let task = ChoiceTask(rawValue: name) { return .choice(task) }
        if let task = name == "gsm8k" ? .gsm8k : GenerationTask(rawValue: name) { return .generation(task) }
        throw .unknownTask(name: name)
    }
}

/// What came out of a task whose answers a model wrote.
public struct GenerationScore: Sendable {
    /// A mean over the questions.
    public struct Measure: Sendable, Equatable {
        public var name: String
        public var mean: Double
        public var standardError: Double

        public init(name: String, mean: Double, standardError: Double) {
            self.name = name
            self.mean = mean
            self.standardError = standardError
        }

        /// With the standard error of the mean from the sample's variance.
        public init(name: String, values: [Double]) {
            let count = Double(max(values.count, 1)), mean = values.reduce(0, +) / count
            let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            self.init(name: name, mean: mean, standardError: values.count > 1 ? (squares / (count - 1) / count).squareRoot() : 0)
        }
    }

    public var task: GenerationTask
    public var questionCount: Int
    public var measures: [Measure]
    /// More members of the JSON report.
    public var details: [JSONMember] = []
    /// One JSON object a completion.
    public var log: [JSONValue]

    public var json: JSONValue {
        .object(
            [JSONMember("questions", .integer(questionCount))]
                + measures.flatMap { [JSONMember($0.name, .double($0.mean)), JSONMember("\($0.name)_stderr", .double($0.standardError))] } + details)
    }
}

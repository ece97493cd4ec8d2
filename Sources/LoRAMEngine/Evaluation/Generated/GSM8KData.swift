import Foundation

/// GSM8K's questions behind worked examples, and what the answers to them are worth, as gsm8k_cot of lm-evaluation-harness has it.
public struct GSM8KData: Sendable {
    public struct Settings: Sendable, Equatable {
        /// `question` and `answer` (whose number stands behind `####`) or `target`.
        public var path: String
        /// Worked examples, the first of which are used: `question` and `target`, which ends in "The answer is N.", or `answer` as above.
        public var fewShotPath: String?
        public var shots: Int
        public var limit: Int?

        public init(path: String, fewShotPath: String? = nil, shots: Int = 8, limit: Int? = nil) {
            self.path = path
            self.fewShotPath = fewShotPath
            self.shots = shots
            self.limit = limit
        }
    }

    /// New tokens of an answer at most.
    public static let maxTokens = 256
    public static let stopStrings = ["Q:", "</s>", "<|im_end|>"]

    public let settings: Settings
    public let prompts: [String]
    private let questions: [String]
    private let targets: [String]

    /// - Throws: `DatasetError`, `EvaluationError`
    public init(_ settings: Settings) throws {
        self.settings = settings
        var prefix = ""
        if settings.shots > 0 {
            guard let path = settings.fewShotPath else { throw EvaluationError.needsExamples(task: .gsm8k, shots: settings.shots) }
            let file = try DatasetFile(path: path, format: nil)
            guard file.recordCount >= settings.shots else {
                throw EvaluationError.tooFewExamples(path: path, expected: settings.shots, found: file.recordCount)
            }
            for index in 0..<settings.shots {
                let record = try RecordReader(file: file, record: index, format: .text)
                prefix += "Q: \(try record.string("question"))\nA: \(try Self.example(record))\n\n"
            }
        }
        let file = try DatasetFile(path: settings.path, format: nil)
        var questions: [String] = [], targets: [String] = []
        for index in 0..<min(settings.limit ?? .max, file.recordCount) {
            let record = try RecordReader(file: file, record: index, format: .text)
            questions.append(try record.string("question"))
            targets.append(try Self.target(record))
        }
        self.questions = questions
        self.targets = targets
        prompts = questions.map { "\(prefix)Q: \($0)\nA:" }
    }

    /// The number behind the last `####`, or the whole text.
    private static func target(_ record: RecordReader) throws -> String {
        let text = try record.string(record.value("answer") == nil ? "target" : "answer")
        return String(text.split(separator: "####", omittingEmptySubsequences: false).last ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A worked example's text: as it stands, or GSM8K's own without its calculator's notes and with the words that are looked for.
    private static func example(_ record: RecordReader) throws -> String {
        guard record.value("target") == nil else { return try record.string("target") }
        let text = try record.string("answer")
        guard let mark = text.range(of: "####", options: .backwards) else { return text }
        let steps = String(text[..<mark.lowerBound]).replacing(/<<[^>]*>>/, with: "").split(whereSeparator: \.isNewline).joined(separator: " ").trimmingCharacters(in: .whitespaces)
        return "\(steps) The answer is \(String(text[mark.upperBound...]).trimmingCharacters(in: .whitespacesAndNewlines))."
    }

    /// - Parameter completions: one a prompt.
    public func score(_ completions: [String]) -> GenerationScore {
        precondition(completions.count == prompts.count)
        var strict: [Double] = [], flexible: [Double] = [], log: [JSONValue] = []
        for (index, text) in completions.enumerated() {
            let answers = (strict: AnswerExtraction.strict(text), flexible: AnswerExtraction.flexible(text))
            strict.append(AnswerExtraction.matches(answers.strict, targets[index]) ? 1 : 0)
            flexible.append(AnswerExtraction.matches(answers.flexible, targets[index]) ? 1 : 0)
            log.append([
                "task": .string(GenerationTask.gsm8k.rawValue), "index": .integer(index), "question": .string(questions[index]), "completion": .string(text),
                "target": .string(targets[index]), "strict": .string(answers.strict), "flexible": .string(answers.flexible),
                "exact_match_strict": .integer(Int(strict[index])), "exact_match_flexible": .integer(Int(flexible[index])),
            ])
        }
        return GenerationScore(
            task: .gsm8k, questionCount: prompts.count,
            measures: [.init(name: "exact_match_strict", values: strict), .init(name: "exact_match_flexible", values: flexible)], log: log)
    }
}

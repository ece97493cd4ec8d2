/// The multiple-choice benchmarks, as lm-evaluation-harness poses them.
public enum ChoiceTask: String, Sendable, CaseIterable {
    case mathqa
    case arcEasy = "arc_easy"
    case arcChallenge = "arc_challenge"
    case hellaswag
    case piqa
    case winogrande
    case openbookqa

    /// The six whose mean the paper calls commonsense reasoning (CSR).
    public static let commonsense: [ChoiceTask] = [.arcChallenge, .arcEasy, .hellaswag, .openbookqa, .piqa, .winogrande]

    public static let names = allCases.map(\.rawValue).joined(separator: ", ")

    /// - Throws: `EvaluationError.unknownTask`
    public static func named(_ name: String) throws(EvaluationError) -> ChoiceTask {
        guard let task = ChoiceTask(rawValue: name) else { throw .unknownTask(name: name) }
        return task
    }

    /// winogrande's options stand in the context; what is scored is the same for both, so that lengths say nothing.
    public var hasNormalizedAccuracy: Bool { self != .winogrande }
}

/// One question with its possible answers.
struct ChoiceQuestion: Sendable, Equatable {
    struct Option: Sendable, Equatable {
        /// What stands before the scored text.
        var context: String
        /// What is scored, behind a space.
        var continuation: String
    }

    var options: [Option]
    /// Index of the right option.
    var gold: Int

    /// As an example before another question: the question with its right answer.
    var example: String { "\(options[gold].context) \(options[gold].continuation)" }
}

import Foundation
import LoRAMEngine

/// What the ranks that compute ask of the coordinator. The same whether it is one of them or a process of its own.
enum CoordinatorRequest: Codable {
    /// Opens the run directory for a phase of so many updates; the answer is the step to go on from, 0 for the start.
    /// `base`: see `ModelReference.identity`.
    case open(phase: Recipe.Phase, resume: RunDirectory.Resume, stepCount: Int, base: String)
    /// An update's row; `skipped`: why it changed nothing.
    case update(MetricsRow, skipped: String?)
    case evaluation(EvaluationRow)
    /// Makes room for a commit. Ranks write to it after the answer.
    case begin(step: Int)
    /// Commits what the ranks have written.
    case commit(step: Int, position: TrainingPosition, records: [ShardRecord], keep: Int)
    /// What is to be done with a phase of `run`; the answer is the decision's text.
    case decide(WorkflowPhase, Workflow.Options)
    /// A phase of `run` is done.
    case complete(WorkflowPhase, Workflow.Options)
    /// Draws the page about the run.
    case report
    /// The ranks that compute have done their work.
    case end

    /// Who asks goes on at once otherwise.
    var isAnswered: Bool {
        switch self {
        case .open, .begin, .commit, .decide, .complete, .report: true
        case .update, .evaluation, .end: false
        }
    }

    /// Binary: every double, also one that is not finite, comes back with its bits.
    func encoded() throws -> Data {
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        return try encoder.encode(self)
    }

    static func decoded(_ data: Data) throws -> CoordinatorRequest { try PropertyListDecoder().decode(Self.self, from: data) }
}

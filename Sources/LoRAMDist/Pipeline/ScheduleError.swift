import LoRAMEngine

/// A schedule that must not run. Actions are in text form (`2F0`).
public enum ScheduleError: DiagnosedError, Equatable {
    case empty(stages: Int, microBatches: Int)
    case missing(action: String)
    case repeated(action: String)
    /// The action has no meaning there: a message beyond the ends of the pipeline, a backward pass in a forward-only schedule, a
    /// micro-batch that does not exist.
    case misplaced(action: String)
    /// The action comes before one that it needs.
    case tooEarly(action: String, needs: String)
    /// Two sides, or a message and the work it belongs to, take micro-batches in different orders.
    case orderMismatch(action: String, expectedMicroBatch: Int)
    /// Nothing can proceed; where each unfinished stage stands.
    case deadlock(waiting: [String])
    /// The executor runs on another number of ranks than the schedule has stages.
    case stageCountMismatch(expected: Int, found: Int)
    case boundaryTooLarge(microBatch: Int, limit: Int, found: Int)

    public var exitCode: ExitStatus { .failure }

    public var description: String {
        switch self {
        case .empty(let stages, let microBatches):
            "a pipeline schedule needs at least 1 stage and 1 micro-batch, found \(stages) and \(microBatches)"
        case .missing(let action): "the pipeline schedule lacks \(action)"
        case .repeated(let action): "the pipeline schedule has \(action) twice"
        case .misplaced(let action): "the pipeline schedule has \(action), which cannot be there"
        case .tooEarly(let action, let needs): "the pipeline schedule has \(action) before \(needs), which it needs"
        case .orderMismatch(let action, let expected):
            "the pipeline schedule has \(action) where the order of messages and micro-batches expects micro-batch \(expected)"
        case .deadlock(let waiting): "the pipeline schedule comes to a standstill at \(waiting.joined(separator: ", "))"
        case .stageCountMismatch(let expected, let found):
            "the pipeline schedule has \(expected) stages and the pipeline \(found) ranks"
        case .boundaryTooLarge(let microBatch, let limit, let found):
            "micro-batch \(microBatch) crosses the stage boundary with \(found) floats, the buffers were planned for \(limit)"
        }
    }
}

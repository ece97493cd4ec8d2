/// What every stage of a pipeline does in one step, as data: one list of actions a stage, executed in order.
///
/// Made by the pure functions `gpipe`, `oneForwardOneBackward`, `zeroBubble` and `forwardOnly`, checked by `ScheduleSimulation`, interpreted by
/// `ScheduleExecutor`. Micro-batches are always backpropagated in their order, so that gradients add up in the same order on
/// every grid.
public struct Schedule: Sendable, Equatable {
    /// The recipe's `parallel.pipeline`.
    public enum Kind: String, Sendable, CaseIterable {
        case gpipe
        case oneForwardOneBackward = "1f1b"
        /// 1f1b whose weight gradients fill the bubble.
        case zeroBubble = "zb-h1"
    }

    public let microBatchCount: Int
    /// False for a schedule of forward passes alone.
    public let trains: Bool
    /// One list a stage, first stage first.
    public let actions: [[Action]]

    public var stages: Int { actions.count }

    /// Takes the lists as they are; `ScheduleSimulation` judges them.
    public init(actions: [[Action]], microBatchCount: Int, trains: Bool) {
        self.actions = actions
        self.microBatchCount = microBatchCount
        self.trains = trains
    }

    /// A training schedule. `recomputeAhead` inserts R before the wait for a gradient.
    ///
    /// - Parameter groupSize: micro-batches whose gradients add up in one buffer: all of a group's are complete before the next one's
    ///   begin. nil: all in one.
    public static func training(
        _ kind: Kind, stages: Int, microBatchCount: Int, recomputeAhead: Bool = false, groupSize: Int? = nil
    ) -> Schedule {
        var lists = (0..<stages).map { stage in
            switch kind {
            case .gpipe: gpipe(microBatchCount: microBatchCount)
            case .oneForwardOneBackward: oneForwardOneBackward(stage: stage, stages: stages, microBatchCount: microBatchCount)
            case .zeroBubble:
                zeroBubble(stage: stage, stages: stages, microBatchCount: microBatchCount, groupSize: groupSize ?? microBatchCount)
            }
        }
        if recomputeAhead { lists = recomputingAhead(lists) }
        return Schedule(actions: communicating(lists), microBatchCount: microBatchCount, trains: true)
    }

    /// Forward passes alone, for evaluation: nothing is kept, so one activation slot is enough.
    public static func forwardOnly(stages: Int, microBatchCount: Int) -> Schedule {
        let list = (0..<microBatchCount).map { Action(.forward, $0) }
        return Schedule(
            actions: communicating([[Action]](repeating: list, count: stages)), microBatchCount: microBatchCount, trains: false)
    }

    /// One line a stage: `0F0 0SEND_F0 0F1 ...`.
    public var text: String {
        actions.enumerated().map { stage, list in
            list.map { $0.text(stage: stage) }.joined(separator: " ")
        }.joined(separator: "\n")
    }
}

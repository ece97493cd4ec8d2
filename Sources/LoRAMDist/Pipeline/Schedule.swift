/// What every stage of a pipeline does in one step, as data: one list of actions a stage, executed in order.
///
/// Made by the pure functions `gpipe`, `oneForwardOneBackward`, `zeroBubble`, `interleaved` and `forwardOnly`, checked by `ScheduleSimulation`, interpreted by
/// `ScheduleExecutor`. Micro-batches are always backpropagated in their order, so that gradients add up in the same order on
/// every grid.
public struct Schedule: Sendable, Equatable {
    /// The recipe's `parallel.pipeline`.
    public enum Kind: String, Sendable, CaseIterable {
        case gpipe
        case oneForwardOneBackward = "1f1b"
        /// 1f1b of several chunks a stage: chunk c of stage s is part c * stages + s of the model.
        case interleaved
        /// 1f1b whose weight gradients fill the bubble.
        case zeroBubble = "zb-h1"
    }

    public let microBatchCount: Int
    /// False for a schedule of forward passes alone.
    public let trains: Bool
    /// One list a stage, first stage first.
    public let actions: [[Action]]
    /// Pieces of the model that a stage holds.
    public let chunks: Int

    public var stages: Int { actions.count }

    /// Takes the lists as they are; `ScheduleSimulation` judges them.
    public init(actions: [[Action]], microBatchCount: Int, trains: Bool, chunks: Int = 1) {
        self.actions = actions
        self.microBatchCount = microBatchCount
        self.trains = trains
        self.chunks = chunks
    }

    /// Where a chunk of a stage comes among the parts of the model.
    public func part(stage: Int, chunk: Int) -> Int { chunk * stages + stage }
    /// Parts of the model, over all stages.
    public var parts: Int { stages * chunks }
    func isFirst(stage: Int, chunk: Int) -> Bool { part(stage: stage, chunk: chunk) == 0 }
    func isLast(stage: Int, chunk: Int) -> Bool { part(stage: stage, chunk: chunk) == parts - 1 }

    /// A training schedule. `recomputeAhead` inserts R before the wait for a gradient.
    ///
    /// - Parameter groupSize: micro-batches whose gradients add up in one buffer: all of a group's are complete before the next one's
    ///   begin. nil: all in one.
    /// - Parameter chunks: of each stage; only `interleaved` has more than one, and only where there are several stages.
    public static func training(
        _ kind: Kind, stages: Int, microBatchCount: Int, recomputeAhead: Bool = false, groupSize: Int? = nil, chunks: Int = 1
    ) -> Schedule {
        let chunks = kind == .interleaved && stages > 1 ? chunks : 1
        var lists = (0..<stages).map { stage in
            switch kind {
            case .gpipe: gpipe(microBatchCount: microBatchCount)
            case .oneForwardOneBackward: oneForwardOneBackward(stage: stage, stages: stages, microBatchCount: microBatchCount)
            case .interleaved where chunks > 1:
                interleaved(stage: stage, stages: stages, chunks: chunks, microBatchCount: microBatchCount)
            case .interleaved: oneForwardOneBackward(stage: stage, stages: stages, microBatchCount: microBatchCount)
            case .zeroBubble:
                zeroBubble(stage: stage, stages: stages, microBatchCount: microBatchCount, groupSize: groupSize ?? microBatchCount)
            }
        }
        if recomputeAhead { lists = recomputingAhead(lists, chunks: chunks) }
        return Schedule(actions: communicating(lists, chunks: chunks), microBatchCount: microBatchCount, trains: true, chunks: chunks)
    }

    /// Forward passes alone, for evaluation: nothing is kept, so one activation slot is enough.
    public static func forwardOnly(stages: Int, microBatchCount: Int, chunks: Int = 1) -> Schedule {
        let list = interleavedOrder(.forward, stages: stages, chunks: chunks, microBatchCount: microBatchCount)
        return Schedule(
            actions: communicating([[Action]](repeating: list, count: stages), chunks: chunks), microBatchCount: microBatchCount, trains: false,
            chunks: chunks)
    }

    /// One line a stage: `0F0 0SEND_F0 0F1 ...`.
    public var text: String {
        actions.enumerated().map { stage, list in
            list.map { $0.text(stage: stage) }.joined(separator: " ")
        }.joined(separator: "\n")
    }
}

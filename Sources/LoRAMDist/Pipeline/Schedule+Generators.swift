/// The order of a stage's own work, without communication.
extension Schedule {
    /// All forward passes, then all backward passes (Huang et al., arXiv 1811.06965; backward in micro-batch order here). Keeps
    /// the activations of all micro-batches.
    static func gpipe(microBatchCount: Int) -> [Action] {
        (0..<microBatchCount).map { Action(.forward, $0) } + (0..<microBatchCount).map { Action(.backward, $0) }
    }

    /// stages - 1 - stage forward passes to fill the pipeline, then forward and backward in turn (PipeDream-Flush, arXiv
    /// 2006.09503). Keeps the activations of at most min(stages - stage, m) micro-batches; bubble (p-1)/(m+p-1) if all stages cost
    /// the same.
    static func oneForwardOneBackward(stage: Int, stages: Int, microBatchCount: Int) -> [Action] {
        let fill = min(stages - 1 - stage, microBatchCount)
        var list = (0..<fill).map { Action(.forward, $0) }
        for microBatch in 0..<microBatchCount {
            if fill + microBatch < microBatchCount { list.append(Action(.forward, fill + microBatch)) }
            list.append(Action(.backward, microBatch))
        }
        return list
    }

    /// As 1f1b, with weight gradients put off: stage s lets s of them wait, so that the first input gradients run up the pipeline without
    /// them and the bubble at the end is filled with them (ZB-H1, Qi et al., arXiv 2401.10241). For equal stages the bubble takes
    /// (p-1)(F+B-W) instead of (p-1)(F+B+W). A weight gradient that would follow its backward pass at once stays in it.
    static func zeroBubble(stage: Int, stages: Int, microBatchCount: Int, groupSize: Int) -> [Action] {
        var list: [Action] = [], waiting = 0..<0
        func make(until limit: Int) {
            while waiting.count > limit {
                list.append(Action(.weightGradient, waiting.lowerBound))
                waiting = waiting.lowerBound + 1..<waiting.upperBound
            }
        }
        for action in oneForwardOneBackward(stage: stage, stages: stages, microBatchCount: microBatchCount) {
            if action.kind == .backward, action.microBatch.isMultiple(of: groupSize) { make(until: 0) }
            list.append(action)
            guard action.kind == .backward else { continue }
            if stage == 0 || waiting.isEmpty && action.microBatch == microBatchCount - 1 { continue }
            waiting = (waiting.isEmpty ? action.microBatch : waiting.lowerBound)..<action.microBatch + 1
            make(until: stage)
        }
        make(until: 0)
        return list
    }

    /// Inserts R before every B whose gradient comes from another stage: recomputation needs no gradient, so it fills the wait
    /// for one. At most one micro-batch is recomputed ahead. The last stage has its gradient at once and nothing to fill.
    static func recomputingAhead(_ lists: [[Action]]) -> [[Action]] {
        lists.enumerated().map { stage, list in
            guard stage < lists.count - 1 else { return list }
            return list.flatMap { action in
                action.kind == .backward
                    ? [Action(.recompute, action.microBatch, chunk: action.chunk), action] : [action]
            }
        }
    }

    /// Adds the messages between neighbours: a receive directly before the work that needs it, a send directly behind the work
    /// that made it.
    static func communicating(_ lists: [[Action]]) -> [[Action]] {
        lists.enumerated().map { stage, list in
            let isFirst = stage == 0
            let isLast = stage == lists.count - 1
            return list.flatMap { action -> [Action] in
                func message(_ kind: Action.Kind) -> Action { Action(kind, action.microBatch, chunk: action.chunk) }
                switch action.kind {
                case .forward:
                    return (isFirst ? [] : [message(.receiveActivation)]) + [action] + (isLast ? [] : [message(.sendActivation)])
                case .backward:
                    return (isLast ? [] : [message(.receiveGradient)]) + [action] + (isFirst ? [] : [message(.sendGradient)])
                default:
                    return [action]
                }
            }
        }
    }
}

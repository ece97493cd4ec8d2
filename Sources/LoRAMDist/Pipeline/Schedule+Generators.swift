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

    /// 1f1b over the chunks of a stage in turn (Narayanan et al., arXiv 2104.04473): a group of as many micro-batches as there are stages
    /// goes through one chunk, then through the next. A bubble is as short as a chunk: (p-1)/(vm+p-1) for v equal chunks, if m is a
    /// multiple of p. A rest of micro-batches is spread over the groups, as a short group would leave the pipeline empty; with a large
    /// rest in few groups the bubble is longer, but not longer than without chunks.
    static func interleaved(stage: Int, stages: Int, chunks: Int, microBatchCount: Int) -> [Action] {
        let forward = interleavedOrder(.forward, stages: stages, chunks: chunks, microBatchCount: microBatchCount)
        let backward = interleavedOrder(.backward, stages: stages, chunks: chunks, microBatchCount: microBatchCount)
        let place = Dictionary(uniqueKeysWithValues: forward.enumerated().map { ($1, $0) })
        let group = groups(stages: stages, microBatchCount: microBatchCount)[0].count
        let fill = 2 * (stages - 1 - stage) + (chunks - 1) * group
        var list: [Action] = [], done = 0
        for (index, action) in backward.enumerated() {
            let needed = min(forward.count, max(fill + index, place[action.with(.forward)]!) + 1)
            if needed > done { list += forward[done..<needed] }
            done = max(done, needed)
            list.append(action)
        }
        return list
    }

    /// Group by group, chunk by chunk (from the last for a backward pass), micro-batch by micro-batch.
    static func interleavedOrder(_ kind: Action.Kind, stages: Int, chunks: Int, microBatchCount: Int) -> [Action] {
        let order = kind == .backward ? Array((0..<chunks).reversed()) : Array(0..<chunks)
        return groups(stages: stages, microBatchCount: microBatchCount).flatMap { group in
            order.flatMap { chunk in group.map { Action(kind, $0, chunk: chunk) } }
        }
    }

    /// As many groups of at least `stages` micro-batches as there can be, of equal size within one, the larger first.
    private static func groups(stages: Int, microBatchCount: Int) -> [Range<Int>] {
        let count = max(1, microBatchCount / stages), (size, rest) = microBatchCount.quotientAndRemainder(dividingBy: count)
        return (0..<count).map { $0 * size + min($0, rest)..<($0 + 1) * size + min($0 + 1, rest) }
    }

    /// Inserts R before every B whose gradient comes from another stage: recomputation needs no gradient, so it fills the wait
    /// for one. At most one micro-batch is recomputed ahead. The last part of the model has its gradient at once and nothing to fill.
    static func recomputingAhead(_ lists: [[Action]], chunks: Int) -> [[Action]] {
        lists.enumerated().map { stage, list in
            list.flatMap { action in
                let isLast = stage == lists.count - 1 && action.chunk == chunks - 1
                return action.kind == .backward && !isLast ? [action.with(.recompute), action] : [action]
            }
        }
    }

    /// Adds the messages between neighbours: a receive directly before the work that needs it, a send directly behind the work
    /// that made it.
    static func communicating(_ lists: [[Action]], chunks: Int) -> [[Action]] {
        lists.enumerated().map { stage, list in
            list.flatMap { action -> [Action] in
                let isFirst = stage == 0 && action.chunk == 0
                let isLast = stage == lists.count - 1 && action.chunk == chunks - 1
                switch action.kind {
                case .forward:
                    return (isFirst ? [] : [action.with(.receiveActivation)]) + [action] + (isLast ? [] : [action.with(.sendActivation)])
                case .backward:
                    return (isLast ? [] : [action.with(.receiveGradient)]) + [action] + (isFirst ? [] : [action.with(.sendGradient)])
                default:
                    return [action]
                }
            }
        }
    }
}

/// The rules that hold within one stage and between neighbours, without looking at time.
extension Schedule {
    /// Every action exactly once, after what it needs, messages first in first out, B in the order of micro-batches.
    func validate() throws(ScheduleError) {
        guard stages > 0, microBatchCount > 0 else { throw .empty(stages: stages, microBatches: microBatchCount) }
        for stage in 0..<stages {
            try validate(stage: stage)
        }
        // Behind the last stage comes the first one's next chunk.
        for stage in 0..<stages where stage < stages - 1 || chunks > 1 {
            let next = (stage + 1) % stages, shift = next == 0 ? 1 : 0
            try matchOrders(ordered(.sendActivation, stage, shift: shift), ordered(.receiveActivation, next), next)
            try matchOrders(ordered(.sendGradient, next, shift: -shift), ordered(.receiveGradient, stage), stage)
        }
    }

    private func validate(stage: Int) throws(ScheduleError) {
        let required = (0..<chunks).map { requirements(stage: stage, chunk: $0) }
        var done = Set<Action>()
        for action in actions[stage] {
            let own = action.text(stage: stage)
            guard 0..<microBatchCount ~= action.microBatch, 0..<chunks ~= action.chunk, let needs = required[action.chunk][action.kind] else {
                throw .misplaced(action: own)
            }
            guard done.insert(action).inserted else { throw .repeated(action: own) }
            for kind in needs where !done.contains(action.with(kind)) {
                throw .tooEarly(action: own, needs: action.with(kind).text(stage: stage))
            }
            if action.kind == .recompute, done.contains(action.with(.backward)) {
                throw .tooEarly(action: action.with(.backward).text(stage: stage), needs: own)
            }
        }
        for chunk in 0..<chunks {
            for kind in Action.Kind.allCases where required[chunk][kind] != nil && kind != .recompute && kind != .weightGradient {
                for microBatch in 0..<microBatchCount where !done.contains(Action(kind, microBatch, chunk: chunk)) {
                    throw .missing(action: Action(kind, microBatch, chunk: chunk).text(stage: stage))
                }
            }
            if trains {
                try requireOrder(ordered(.backward, stage).filter { $0.chunk == chunk }, stage)
                // The same for weight gradients, made by a W or in the B.
                let separate = Set(ordered(.weightGradient, stage).map { $0.with(.backward) })
                try requireOrder(
                    actions[stage].filter {
                        $0.chunk == chunk && ($0.kind == .weightGradient || $0.kind == .backward && !separate.contains($0))
                    }, stage)
            }
        }
        // The buffers of a channel are used in turn, so work and messages keep one order.
        let forward = ordered(.forward, stage), backward = ordered(.backward, stage)
        let arriving = forward.filter { !isFirst(stage: stage, chunk: $0.chunk) }, leaving = forward.filter { !isLast(stage: stage, chunk: $0.chunk) }
        try matchOrders(ordered(.receiveActivation, stage), arriving, stage)
        try matchOrders(leaving, ordered(.sendActivation, stage), stage)
        try matchOrders(ordered(.receiveGradient, stage), backward.filter { !isLast(stage: stage, chunk: $0.chunk) }, stage)
        try matchOrders(backward.filter { !isFirst(stage: stage, chunk: $0.chunk) }, ordered(.sendGradient, stage), stage)
    }

    /// The kinds of action that a chunk may have, each with those that must go before it for the same micro-batch.
    private func requirements(stage: Int, chunk: Int) -> [Action.Kind: [Action.Kind]] {
        let isFirst = isFirst(stage: stage, chunk: chunk), isLast = isLast(stage: stage, chunk: chunk)
        var result: [Action.Kind: [Action.Kind]] = [.forward: isFirst ? [] : [.receiveActivation]]
        if !isFirst { result[.receiveActivation] = [] }
        if !isLast { result[.sendActivation] = [.forward] }
        guard trains else { return result }
        result[.recompute] = [.forward]
        result[.weightGradient] = [.backward]
        result[.backward] = isLast ? [.forward] : [.forward, .receiveGradient]
        if !isLast { result[.receiveGradient] = [.forward] }
        if !isFirst { result[.sendGradient] = [.backward] }
        return result
    }

    /// The micro-batches of one kind of action on one stage, in order.
    func order(_ kind: Action.Kind, stage: Int) -> [Int] { ordered(kind, stage).map(\.microBatch) }

    /// The stage's actions of one kind, in order; `shift` numbers their chunks as the other end of a message does.
    func ordered(_ kind: Action.Kind, _ stage: Int, shift: Int = 0) -> [Action] {
        actions[stage].filter { $0.kind == kind }.map { Action(kind, $0.microBatch, chunk: $0.chunk + shift) }
    }

    private func requireOrder(_ list: [Action], _ stage: Int) throws(ScheduleError) {
        for (expected, action) in list.enumerated() where action.microBatch != expected {
            throw .orderMismatch(action: action.text(stage: stage), expectedMicroBatch: expected)
        }
    }

    /// `second`, of the stage, takes micro-batches and chunks as `first` does.
    private func matchOrders(_ first: [Action], _ second: [Action], _ stage: Int) throws(ScheduleError) {
        for (expected, found) in zip(first, second) where (expected.microBatch, expected.chunk) != (found.microBatch, found.chunk) {
            throw .orderMismatch(action: found.text(stage: stage), expectedMicroBatch: expected.microBatch)
        }
    }
}

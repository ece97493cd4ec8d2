/// The rules that hold within one stage and between neighbours, without looking at time.
extension Schedule {
    /// Every action exactly once, after what it needs, messages first in first out, B in the order of micro-batches.
    func validate() throws(ScheduleError) {
        guard stages > 0, microBatchCount > 0 else { throw .empty(stages: stages, microBatches: microBatchCount) }
        for stage in 0..<stages {
            try validate(stage: stage)
        }
        for stage in 0..<stages - 1 {
            try matchOrders(.sendActivation, stage, .receiveActivation, stage + 1)
            try matchOrders(.sendGradient, stage + 1, .receiveGradient, stage)
        }
    }

    private func validate(stage: Int) throws(ScheduleError) {
        let required = requirements(stage: stage)
        var done = Set<Action>()
        for action in actions[stage] {
            func text(_ kind: Action.Kind) -> String { Action(kind, action.microBatch).text(stage: stage) }
            let own = action.text(stage: stage)
            guard 0..<microBatchCount ~= action.microBatch, let needs = required[action.kind] else { throw .misplaced(action: own) }
            guard done.insert(action).inserted else { throw .repeated(action: own) }
            for kind in needs where !done.contains(Action(kind, action.microBatch, chunk: action.chunk)) {
                throw .tooEarly(action: own, needs: text(kind))
            }
            if action.kind == .recompute, done.contains(Action(.backward, action.microBatch, chunk: action.chunk)) {
                throw .tooEarly(action: text(.backward), needs: own)
            }
        }
        for kind in Action.Kind.allCases where required[kind] != nil && kind != .recompute && kind != .weightGradient {
            for microBatch in 0..<microBatchCount where !done.contains(Action(kind, microBatch)) {
                throw .missing(action: Action(kind, microBatch).text(stage: stage))
            }
        }
        if trains {
            for (expected, action) in actions[stage].filter({ $0.kind == .backward }).enumerated()
            where action.microBatch != expected {
                throw .orderMismatch(action: action.text(stage: stage), expectedMicroBatch: expected)
            }
            // The same for weight gradients, made by a W or in the B.
            let separate = Set(order(.weightGradient, stage: stage))
            let makers = actions[stage].filter {
                $0.kind == .weightGradient || $0.kind == .backward && !separate.contains($0.microBatch)
            }
            for (expected, action) in makers.enumerated() where action.microBatch != expected {
                throw .orderMismatch(action: action.text(stage: stage), expectedMicroBatch: expected)
            }
        }
        // The buffers of a channel are used in turn, so work and messages keep one order.
        if required[.receiveActivation] != nil { try matchOrders(.receiveActivation, stage, .forward, stage) }
        if required[.sendActivation] != nil { try matchOrders(.forward, stage, .sendActivation, stage) }
        if required[.receiveGradient] != nil { try matchOrders(.receiveGradient, stage, .backward, stage) }
        if required[.sendGradient] != nil { try matchOrders(.backward, stage, .sendGradient, stage) }
    }

    /// The kinds of action that the stage may have, each with those that must go before it for the same micro-batch.
    private func requirements(stage: Int) -> [Action.Kind: [Action.Kind]] {
        let isFirst = stage == 0
        let isLast = stage == stages - 1
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
    func order(_ kind: Action.Kind, stage: Int) -> [Int] {
        actions[stage].lazy.filter { $0.kind == kind }.map(\.microBatch)
    }

    private func matchOrders(
        _ first: Action.Kind, _ firstStage: Int, _ second: Action.Kind, _ secondStage: Int
    ) throws(ScheduleError) {
        for (expected, found) in zip(order(first, stage: firstStage), order(second, stage: secondStage)) where expected != found {
            throw .orderMismatch(action: Action(second, found).text(stage: secondStage), expectedMicroBatch: expected)
        }
    }
}

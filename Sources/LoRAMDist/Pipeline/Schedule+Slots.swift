/// Where a stage keeps the activations of each micro-batch between forward and backward.
extension Schedule {
    /// Slot of each action of the stage's list within its chunk (-1 for messages), and the number of slots of each chunk. A slot is taken
    /// by F and free again after B (after F in a schedule without backward passes); the lowest free one is taken.
    func slots(stage: Int) -> (ofAction: [Int], counts: [Int]) {
        var slotOf: [Action: Int] = [:]
        var isTaken = [[Bool]](repeating: [], count: chunks)
        let ofAction = actions[stage].map { action -> Int in
            let chunk = action.chunk
            switch action.kind {
            case .forward:
                let slot = isTaken[chunk].firstIndex(of: false) ?? isTaken[chunk].count
                if slot == isTaken[chunk].count { isTaken[chunk].append(true) } else { isTaken[chunk][slot] = true }
                slotOf[action] = slot
                if !trains { isTaken[chunk][slot] = false }
                return slot
            case .recompute:
                return slotOf[action.with(.forward)]!
            case .backward:
                let slot = slotOf[action.with(.forward)]!
                isTaken[chunk][slot] = false
                return slot
            case .weightGradient, .receiveActivation, .sendActivation, .receiveGradient, .sendGradient:
                return -1
            }
        }
        return (ofAction, isTaken.map(\.count))
    }

    /// Activation slots that a chunk of the stage needs: its largest number of micro-batches between F and B.
    public func slotCount(stage: Int, chunk: Int = 0) -> Int { slots(stage: stage).counts[chunk] }

    /// Weight slot of each action of the stage's list, and the number of weight slots: taken by a B that leaves its weight gradients to a
    /// W, which frees it; -1 for all others.
    func weightSlots(stage: Int) -> (ofAction: [Int], count: Int) {
        let separate = Set(order(.weightGradient, stage: stage))
        var slotOfMicroBatch: [Int: Int] = [:]
        var isTaken: [Bool] = []
        let ofAction = actions[stage].map { action -> Int in
            if action.kind == .backward, separate.contains(action.microBatch) {
                let slot = isTaken.firstIndex(of: false) ?? isTaken.count
                if slot == isTaken.count { isTaken.append(true) } else { isTaken[slot] = true }
                slotOfMicroBatch[action.microBatch] = slot
                return slot
            }
            guard action.kind == .weightGradient, let slot = slotOfMicroBatch[action.microBatch] else { return -1 }
            isTaken[slot] = false
            return slot
        }
        return (ofAction, isTaken.count)
    }

    /// Micro-batches whose weight gradients wait at once on the stage.
    public func weightSlotCount(stage: Int) -> Int { weightSlots(stage: stage).count }
}

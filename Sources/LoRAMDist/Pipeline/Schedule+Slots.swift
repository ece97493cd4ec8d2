/// Where a stage keeps the activations of each micro-batch between forward and backward.
extension Schedule {
    /// Slot of each action of the stage's list (-1 for messages), and the number of slots. A slot is taken by F and free again after
    /// B (after F in a schedule without backward passes); the lowest free one is taken.
    func slots(stage: Int) -> (ofAction: [Int], count: Int) {
        var slotOfMicroBatch = [Int](repeating: -1, count: microBatchCount)
        var isTaken: [Bool] = []
        let ofAction = actions[stage].map { action -> Int in
            switch action.kind {
            case .forward:
                let slot = isTaken.firstIndex(of: false) ?? isTaken.count
                if slot == isTaken.count { isTaken.append(true) } else { isTaken[slot] = true }
                slotOfMicroBatch[action.microBatch] = slot
                if !trains { isTaken[slot] = false }
                return slot
            case .recompute:
                return slotOfMicroBatch[action.microBatch]
            case .backward:
                let slot = slotOfMicroBatch[action.microBatch]
                isTaken[slot] = false
                return slot
            case .weightGradient, .receiveActivation, .sendActivation, .receiveGradient, .sendGradient:
                return -1
            }
        }
        return (ofAction, isTaken.count)
    }

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

    /// Activation slots that the stage needs: its largest number of micro-batches between F and B.
    public func slotCount(stage: Int) -> Int { slots(stage: stage).count }
}

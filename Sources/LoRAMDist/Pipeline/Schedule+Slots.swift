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
            case .receiveActivation, .sendActivation, .receiveGradient, .sendGradient:
                return -1
            }
        }
        return (ofAction, isTaken.count)
    }

    /// Activation slots that the stage needs: its largest number of micro-batches between F and B.
    public func slotCount(stage: Int) -> Int { slots(stage: stage).count }
}

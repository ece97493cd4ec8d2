import LoRAMEngine

/// A `ModelStage` as the schedule's executor sees it: micro-batches by number, gradients into their group's buffer.
final class TrainingStage: PipelineStage {
    let stage: ModelStage
    private let accumulator: GroupAccumulator
    /// Micro-batches of a group: after each so many, the group's sum is closed.
    private let microBatchesPerGroup: Int
    private let makeBatch: (_ microBatch: Int) throws -> MicroBatch
    /// Per micro-batch of this replica: summed loss (last stage only) and positions with a label.
    private(set) var losses: [Double]
    private(set) var targetCounts: [Int]
    private(set) var tokenCounts: [Int]

    /// `makeBatch` gives this replica's micro-batch by its number in the update.
    init(
        stage: ModelStage, accumulator: GroupAccumulator, microBatchCount: Int, microBatchesPerGroup: Int,
        makeBatch: @escaping (Int) throws -> MicroBatch
    ) {
        self.stage = stage
        self.accumulator = accumulator
        self.microBatchesPerGroup = microBatchesPerGroup
        self.makeBatch = makeBatch
        losses = Array(repeating: 0, count: microBatchCount)
        targetCounts = Array(repeating: 0, count: microBatchCount)
        tokenCounts = Array(repeating: 0, count: microBatchCount)
    }

    func boundaryCount(microBatch: Int) -> Int { tokenCounts[microBatch] * stage.config.hiddenSize }

    /// Reads an update's micro-batches: what a slot is loaded with and how large the messages are.
    func prepare() throws {
        batches.removeAll(keepingCapacity: true)
        for microBatch in losses.indices {
            let batch = try makeBatch(microBatch)
            tokenCounts[microBatch] = batch.tokenCount
            targetCounts[microBatch] = batch.targetCount
            losses[microBatch] = 0
            batches.append(batch)
        }
    }
    private var batches: [MicroBatch] = []

    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws {
        try stage.load(batches[microBatch], slot: slot)
        stage.forward(slot: slot, input: input, output: output)
    }

    func recompute(microBatch: Int, slot: Int) throws { stage.recompute(slot: slot) }

    func backward(microBatch: Int, slot: Int, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?) throws {
        stage.gradients = accumulator.current
        losses[microBatch] = stage.backward(slot: slot, outputGradient: outputGradient, inputGradient: inputGradient)
        if (microBatch + 1) % microBatchesPerGroup == 0 { accumulator.finishGroup() }
    }
}

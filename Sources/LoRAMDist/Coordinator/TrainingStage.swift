import LoRAMEngine

/// A chunk's `ModelStage` as the schedule's executor sees it: this replica's micro-batches by number, gradients into their group's buffer.
final class TrainingStage: PipelineStage {
    private let chunk: TrainedChunk
    private let groups: GradientGroups
    private let replica: Int
    private var batches: [MicroBatch] = []
    /// Per micro-batch: the summed loss, known on the last stage only.
    private(set) var losses: [Double] = []

    init(chunk: TrainedChunk, groups: GradientGroups, replica: Int) {
        self.chunk = chunk
        self.groups = groups
        self.replica = replica
    }

    /// The micro-batches of an update, in their order.
    func begin(_ batches: [MicroBatch]) {
        self.batches = batches
        losses = Array(repeating: 0, count: batches.count)
    }

    func targetCount(_ microBatch: Int) -> Int { batches[microBatch].targetCount }
    var tokenCount: Int { batches.reduce(0) { $0 + $1.tokenCount } }

    func boundaryCount(microBatch: Int) -> Int { batches[microBatch].tokenCount * chunk.stage.config.hiddenSize }

    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws {
        let stage = chunk.stage
        try stage.load(batches[microBatch], slot: slot)
        stage.forward(slot: slot, input: input, output: output)
    }

    func recompute(microBatch: Int, slot: Int) throws { chunk.stage.recompute(slot: slot) }

    func backward(microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?) throws {
        let stage = chunk.stage
        stage.gradients = chunk.exchange.current
        guard weightSlot == nil else {
            losses[microBatch] = stage.backward(
                slot: slot, weightSlot: weightSlot, outputGradient: outputGradient, inputGradient: inputGradient)
            return
        }
        try complete(microBatch) {
            losses[microBatch] = try stage.backward(
                slot: slot, outputGradient: outputGradient, inputGradient: inputGradient, finished: $0)
        }
    }

    func weightGradients(microBatch: Int, weightSlot: Int) throws {
        let stage = chunk.stage
        stage.gradients = chunk.exchange.current
        try complete(microBatch) { try stage.weightGradients(weightSlot: weightSlot, finished: $0) }
    }

    /// Runs what completes a micro-batch's gradients. In the update's last one the reduction of a layer's gradients starts as soon as
    /// they are complete.
    private func complete(_ microBatch: Int, _ body: (_ finished: ((Int) throws -> Void)?) throws -> Void) throws {
        let exchange = chunk.exchange, endsGroup = groups.endsGroup(localMicroBatch: microBatch, replica: replica)
        try body(endsGroup && exchange.accumulator.isLastGroup ? { try exchange.finishTail(from: $0) } : nil)
        if endsGroup { try exchange.finishGroup() }
    }
}

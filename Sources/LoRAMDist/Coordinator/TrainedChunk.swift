import LoRAMEngine

/// A contiguous run of layers that a rank trains, with all that belongs to it: weights and activations, gradients, optimizer.
final class TrainedChunk {
    let stage: ModelStage
    let plan: ShardPlan
    let exchange: GradientExchange
    let optimizer: ShardedOptimizer

    /// What a rank makes without any other.
    init(
        _ stage: ModelStage, source: any TensorSource, groups: GradientGroups, replicas: Communicator, number: Int, marker: ProgressMarker
    ) throws {
        self.stage = stage
        plan = ShardPlan(stage.layout, of: stage.training, groups)
        // The tags of this chunk on the replicas' communicator.
        let tag = 8 * number + 8
        exchange = GradientExchange(count: stage.layout.count, groups: groups, plan: plan, replicas: replicas, tag: tag, marker: marker)
        optimizer = try ShardedOptimizer(weights: stage.trainedWeights, plan: plan, replicas: replicas, tag: tag + 1, marker: marker)
        try optimizer.shard.loadMasters(from: source)
    }

    /// The elements of a tensor that this rank's optimizer has.
    func ownElements(of tensor: ParameterLayout.Tensor) -> [Range<Int>] {
        optimizer.shard.runs.map { $0.clamped(to: tensor.offset..<tensor.offset + tensor.count) }.filter { !$0.isEmpty }
            .map { $0.lowerBound - tensor.offset..<$0.upperBound - tensor.offset }
    }

    /// The trained matrix of which the model's two ends hold a copy each.
    var tiedTensor: ParameterLayout.Tensor? {
        guard stage.config.tiesWordEmbeddings else { return nil }
        return stage.layout.tensors.first { $0.tiedTo != nil } ?? stage.layout.tensor(named: WeightName.embedding)
    }
}

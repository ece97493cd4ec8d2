import LoRAMEngine

/// Floating-point operations per token of one part of a model (a layer, the head), by the action of the schedule that does them.
public struct LayerCost: Sendable, Equatable {
    public var forward: Double
    /// Repeating the forward pass because activations were not kept.
    public var recompute: Double
    /// Gradient with respect to the input: what the stage before waits for.
    public var inputGradient: Double
    /// Gradients of trained weights: of all dense ones, or of the LoRA factors.
    public var weightGradient: Double

    public init(forward: Double = 0, recompute: Double = 0, inputGradient: Double = 0, weightGradient: Double = 0) {
        self.forward = forward
        self.recompute = recompute
        self.inputGradient = inputGradient
        self.weightGradient = weightGradient
    }

    public var backward: Double { inputGradient + weightGradient }
    public var total: Double { forward + recompute + backward }

    public static func + (left: LayerCost, right: LayerCost) -> LayerCost {
        LayerCost(
            forward: left.forward + right.forward, recompute: left.recompute + right.recompute,
            inputGradient: left.inputGradient + right.inputGradient, weightGradient: left.weightGradient + right.weightGradient)
    }
}

extension LayerCost {
    public static func - (left: LayerCost, right: LayerCost) -> LayerCost {
        LayerCost(
            forward: left.forward - right.forward, recompute: left.recompute - right.recompute,
            inputGradient: left.inputGradient - right.inputGradient, weightGradient: left.weightGradient - right.weightGradient)
    }
}

/// Cost of each part of a model, counted from its shapes: 2 operations per weight and token and product; the elementwise rest is
/// small beside that.
public struct ModelCost: Sendable, Equatable {
    /// What is trained.
    public enum Training: Sendable, Equatable {
        /// LoRA factors on a frozen base.
        case lora(LoRAConfig)
        /// All weights, the head only if asked (alignment freezes it by default).
        case dense(head: Bool)
    }

    /// One entry a layer.
    public let layers: [LayerCost]
    public let head: LayerCost
    /// Looking rows up is free; in dense training their gradients are added.
    public let embedding: LayerCost
    /// Input gradients of the first layer's q, k and v, which nobody needs where the embedding is frozen: a stage that begins with it does not make
    /// them. The cut into stages leaves this out.
    public let unneededGradients: LayerCost

    /// `contextLength`: tokens that attend to each other, 0 to leave attention's products out. `recompute`: whether the layers'
    /// activations are recomputed in the backward pass (`recompute: full`); the head's never are, its loss and gradient are one pass.
    public init(config: LlamaConfig, training: Training, contextLength: Int, recompute: Bool) {
        layers = config.layers.indices.map { layer in
            var cost = LinearSite.inLayer.reduce(LayerCost()) {
                $0 + Self.linear($1, config: config, layer: layer, training: training)
            }
            // Causal: a token sees half the context on average. Forward is Q K^T and P V; backward repeats the first and has
            // four products of its own.
            let queryWidth = Double(config.layers[layer].headCount * config.headDim)
            let product = contextLength > 0 ? 2 * queryWidth * Double(contextLength + 1) / 2 : 0
            cost.forward += 2 * product
            cost.inputGradient += 5 * product
            if recompute { cost.recompute = cost.forward - Self.output(.down, config: config, layer: layer, training: training) }
            return cost
        }
        head = Self.linear(.lmHead, config: config, layer: 0, training: training)
        embedding = training.trainsEmbedding ? LayerCost(weightGradient: Double(config.hiddenSize)) : LayerCost()
        unneededGradients = training.trainsEmbedding
            ? LayerCost()
            : LayerCost(
                inputGradient: [LinearSite.q, .k, .v].reduce(0) {
                    let shape = $1.shape(in: config, layer: 0), rank = training.rank(at: $1)
                    return $0 + 2 * Double(shape.out * shape.in) + 2 * Double(rank * shape.in)
                })
    }

    /// Of a forward pass, what makes a linear layer's output of its input and, where it has low-rank factors, of x A^T. The last one of a layer is
    /// left out when activations are computed again: backward needs no layer's output.
    private static func output(_ site: LinearSite, config: LlamaConfig, layer: Int, training: Training) -> Double {
        let shape = site.shape(in: config, layer: layer)
        return 2 * Double(shape.out * shape.in) + 2 * Double(training.rank(at: site) * shape.out)
    }

    private static func linear(_ site: LinearSite, config: LlamaConfig, layer: Int, training: Training) -> LayerCost {
        let shape = site.shape(in: config, layer: layer)
        let product = 2 * Double(shape.out) * Double(shape.in)
        var cost = LayerCost(forward: product, inputGradient: product)
        switch training {
        case .lora(let lora) where lora.targets.contains(site):
            let thin = 2 * Double(lora.rank) * Double(shape.out + shape.in)
            cost.forward += thin
            cost.inputGradient += thin
            cost.weightGradient += thin
        case .dense(let trainsHead) where site != .lmHead || trainsHead:
            cost.weightGradient += product
        default:
            break
        }
        return cost
    }

    /// Cost of one token in a whole training step.
    public var total: LayerCost { layers.reduce(embedding + head, +) - unneededGradients }

    /// The cut of this model into stages; see `Partition`.
    public func partition(stages: Int) throws(TopologyError) -> Partition {
        try Partition(
            layerCosts: layers.map(\.total), embeddingCost: embedding.total, headCost: head.total, stages: stages)
    }

    /// Cost of one stage's layers, with the embedding on the first.
    public func layers(stage: Int, of partition: Partition) -> LayerCost {
        let cost = layers[partition.layers[stage]].reduce(LayerCost(), +)
        return stage == 0 ? embedding + cost - unneededGradients : cost
    }

    /// The head's cost in a stage's actions. Loss and gradient are one pass over its rows: all of it belongs to the backward action.
    public func head(stage: Int, of partition: Partition) -> LayerCost {
        guard stage == partition.stages - 1 else { return LayerCost() }
        return LayerCost(inputGradient: head.forward + head.inputGradient, weightGradient: head.weightGradient)
    }

    /// Cost of one stage.
    public func stage(_ stage: Int, of partition: Partition) -> LayerCost {
        layers(stage: stage, of: partition) + head(stage: stage, of: partition)
    }
}

extension ModelCost.Training {
    /// Of the low-rank factors at a site; 0 where there are none.
    func rank(at site: LinearSite) -> Int {
        if case .lora(let lora) = self, lora.targets.contains(site) { lora.rank } else { 0 }
    }

    var trainsEmbedding: Bool {
        if case .dense = self { true } else { false }
    }
}

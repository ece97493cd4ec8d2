extension ModelPlan {
    /// A recipe's pruning and quantization applied to the shape of its model.
    ///
    /// Ratio 0 prunes nothing. A checkpoint that was pruned before (its plan lies beside it) is taken as it is; so is the quantization
    /// of a checkpoint in 4 bit.
    /// - Throws: errors of the recipe, the model's files and the pruning.
    public init(_ recipe: Recipe) throws {
        let name = try recipe.requiredModel(), pruning = recipe.pruning
        var quantizer = recipe.quantization.type == .nf4 ? Quantizer(recipe.quantization) : nil
        if FilePath.isDirectory(name), Checkpoint.hasWeights(name), let stored = try Checkpoint(directory: name).quantization {
            quantizer = Quantizer(double: stored.doubleQuantization)
        }
        let config = try ModelReference.config(name)
        if FilePath.isDirectory(name), let plan = try PruningPlan.beside(checkpoint: name) {
            try plan.require(pruned: config, path: "\(name)/\(PruningPlan.fileName)")
            var whole = config
            whole.layers = config.layers.map { _ in plan.sourceGeometry }
            self.init(original: whole, trained: config, quantizer: quantizer)
        } else if let path = pruning.plan {
            self.init(original: config, trained: try PruningPlan(path: path).prunedConfig(of: config, path: path), quantizer: quantizer)
        } else {
            self = try ModelPlan(config, pruning, quantizer: quantizer)
        }
    }

    /// A method applied to a shape.
    ///
    /// - Throws: `PruningError`.
    public init(_ config: LlamaConfig, _ pruning: PruningRecipe, quantizer: Quantizer? = nil) throws {
        guard pruning.ratio > 0 else {
            self.init(original: config, trained: config, quantizer: quantizer)
            return
        }
        let first = pruning.keptFirstLayerCount, last = pruning.keptLastLayerCount
        guard !pruning.method.isStructured else {
            let counts = try StructuredCounts(config: config, ratio: pruning.ratio, keepFirst: first, keepLast: last)
            self.init(original: config, trained: counts.prunedConfig(of: config), quantizer: quantizer)
            return
        }
        guard first + last < config.layerCount else {
            throw PruningError.keepsEveryLayer(keepFirst: first, keepLast: last, layerCount: config.layerCount)
        }
        let pattern = pruning.method == .semi ? PruningRecipe.parsePattern(pruning.pattern) : nil
        let zeros = (first..<config.layerCount - last).reduce(0) { count, layer in
            LinearSite.inLayer.reduce(count) {
                let shape = $1.shape(in: config, layer: layer)
                guard let pattern else { return $0 + Int((Double(shape.out * shape.in) * pruning.ratio).rounded()) }
                return $0 + shape.out * (shape.in / pattern.of * pattern.zeros)
            }
        }
        self.init(original: config, trained: config, zeroCount: zeros, quantizer: quantizer)
    }
}

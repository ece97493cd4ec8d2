extension ModelPlan {
    /// A recipe's pruning and quantization applied to the shape of its model.
    ///
    /// Ratio 0 prunes nothing. A checkpoint that was pruned before (its plan or its masks lie beside it) is taken as it is; so is one in 4 bit,
    /// with its quantization.
    /// - Throws: errors of the recipe, the model's files and the pruning.
    public init(_ recipe: Recipe) throws {
        let name = try recipe.requiredModel(), pruning = recipe.pruning
        var quantizer = recipe.quantization.type == .nf4 ? Quantizer(recipe.quantization) : nil, storedQuantizer: Quantizer?
        if FilePath.isDirectory(name), Checkpoint.hasWeights(name), let stored = try Checkpoint(directory: name).quantization {
            storedQuantizer = Quantizer(double: stored.doubleQuantization)
            quantizer = storedQuantizer
        }
        let config = try ModelReference.config(name)
        if FilePath.isDirectory(name), let plan = try PruningPlan.beside(checkpoint: name) {
            try plan.require(pruned: config, path: "\(name)/\(PruningPlan.fileName)")
            var whole = config
            whole.layers = config.layers.map { _ in plan.sourceGeometry }
            self.init(
                original: whole, trained: config, method: plan.method, ratio: plan.ratio, quantizer: quantizer,
                storedQuantizer: storedQuantizer)
        } else if FilePath.isDirectory(name), let masks = try PruningMasks.beside(name, of: config) {
            try self.init(config, masks, quantizer: quantizer, storedQuantizer: storedQuantizer)
        } else if storedQuantizer != nil {
            // Nothing prunes it any more.
            self.init(
                original: config, trained: config, method: pruning.method.rawValue, ratio: 0, quantizer: quantizer, storedQuantizer: storedQuantizer)
        } else if let path = pruning.plan {
            switch try PlanFile.open(path, config: config, pruning: pruning, seed: recipe.seed) {
            case .structured(let plan):
                self.init(
                    original: config, trained: try plan.prunedConfig(of: config, path: path), method: plan.method, ratio: plan.ratio, quantizer: quantizer)
            case .masks(let masks): try self.init(config, masks, quantizer: quantizer)
            }
        } else {
            try self.init(config, pruning, quantizer: quantizer)
        }
    }

    /// Zeros that were chosen before.
    ///
    /// - Throws: errors of the masks' file.
    private init(_ config: LlamaConfig, _ masks: PruningMasks, quantizer: Quantizer?, storedQuantizer: Quantizer? = nil) throws {
        var pattern: String?
        if case .pattern(let zeros, let of) = masks.label.sparsity { pattern = "\(zeros):\(of)" }
        self.init(
            original: config, trained: config, method: masks.label.method, ratio: masks.label.sparsity.fraction, zeroCount: try masks.prunedCount(config),
            quantizer: quantizer, storedQuantizer: storedQuantizer, pattern: pattern)
    }

    /// A method applied to a shape.
    ///
    /// - Throws: `PruningError`.
    public init(_ config: LlamaConfig, _ pruning: PruningRecipe, quantizer: Quantizer? = nil) throws {
        let method = pruning.method.rawValue
        // Also of semi, whose ratio is otherwise its pattern's.
        guard pruning.givenRatio != 0 else {
            self.init(original: config, trained: config, method: method, ratio: 0, quantizer: quantizer)
            return
        }
        let first = pruning.keptFirstLayerCount, last = pruning.keptLastLayerCount
        guard !pruning.method.isStructured else {
            let counts = try StructuredCounts(config: config, ratio: pruning.ratio, keepFirst: first, keepLast: last)
            self.init(original: config, trained: counts.prunedConfig(of: config), method: method, ratio: pruning.ratio, quantizer: quantizer)
            return
        }
        let prunedLayers = try StructuredCounts.checkedLayers(config, keepFirst: first, keepLast: last)
        let pattern = pruning.method == .semi ? PruningRecipe.parsePattern(pruning.pattern) : nil
        let zeros = prunedLayers.reduce(0) { count, layer in
            LinearSite.inLayer.reduce(count) {
                let shape = $1.shape(in: config, layer: layer)
                guard let pattern else { return $0 + Int((Double(shape.out * shape.in) * pruning.ratio).rounded()) }
                let rest = Sparsity.zeros(pattern.zeros, of: pattern.of, width: shape.in % pattern.of)
                return $0 + shape.out * (shape.in / pattern.of * pattern.zeros + rest)
            }
        }
        self.init(
            original: config, trained: config, method: method, ratio: pattern.map { Double($0.zeros) / Double($0.of) } ?? pruning.ratio,
            zeroCount: zeros, quantizer: quantizer, pattern: pattern == nil ? nil : pruning.pattern)
    }
}

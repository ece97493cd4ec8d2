/// Prunings that need nothing but weights: random ones, and existing plans and masks.
public enum PruningRun {
    /// Whether `run` can do it; the others need a forward pass, see LoRAMDist's `PruningJob`.
    public static func handles(_ pruning: PruningRecipe) -> Bool { pruning.plan != nil || pruning.method == .rand }

    /// - Throws: errors of the recipe, the model, the plan and the files.
    public static func run(_ recipe: Recipe, output: String) throws -> PruningReport {
        let pruning = recipe.pruning
        let model = try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
        guard let path = pruning.plan else {
            return try apply(
                RandomPruning.plan(
                    config: model.config, ratio: pruning.ratio, keepFirst: pruning.keptFirstLayerCount, keepLast: pruning.keptLastLayerCount,
                    seed: recipe.seed), to: model, output: output)
        }
        switch try PlanFile.open(path, config: model.config, pruning: pruning, seed: recipe.seed) {
        case .structured(let plan): return try apply(plan, to: model, output: output)
        case .masks(let masks):
            let count = model.config.parameterCount
            let pruned = try MaskedCopy.write(model, masks: masks, to: output)
            return try PruningReport(
                method: masks.label.method, ratio: masks.label.sparsity.fraction, originalParameters: count, prunedParameters: count - pruned,
                output: output, readByteCount: model.isFile ? model.storedByteCount : 0)
        }
    }

    /// Writes what a structured plan leaves.
    ///
    /// - Parameters:
    ///   - scores: of the pruned layers, which go beside the plan as `pruning_scores.safetensors`.
    ///   - readByteCount: what was read to make the plan.
    public static func apply(
        _ plan: PruningPlan, to model: ModelReference, output: String, scores: [LayerImportance]? = nil, readByteCount: Int = 0
    ) throws -> PruningReport {
        let gathered = try StructuredPruner.prune(model, plan: plan, to: output, scores: scores)
        let pruned = try plan.prunedConfig(of: model.config)
        return try PruningReport(
            method: plan.method, ratio: plan.ratio, originalParameters: model.config.parameterCount, prunedParameters: pruned.parameterCount,
            output: output, readByteCount: readByteCount + gathered)
    }
}

extension ModelReference {
    /// Bytes of all weights as they are stored.
    public var storedByteCount: Int {
        WeightLayout.names(config).reduce(0) { $0 + $1.shape.reduce(1, *) * ((try? dtype($1.name, $1.shape)) ?? config.dtype).byteCount }
    }
}

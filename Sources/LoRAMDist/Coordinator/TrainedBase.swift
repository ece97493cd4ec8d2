import LoRAMEngine

/// The checkpoint that a phase trains, and what pruning left beside it.
struct TrainedBase {
    /// The checkpoint (or random weights) that is trained on.
    let base: ModelReference
    /// Of a structurally pruned base.
    let plan: PruningPlan?
    /// Of a non-structurally pruned base.
    let masks: PruningMasks?
    /// Shape of the original, whole model.
    let original: LlamaConfig

    /// - Throws: errors of model, plan and masks.
    init(_ recipe: Recipe, _ phase: Recipe.Phase) throws {
        base = try Self.open(recipe, phase)
        let config = base.config
        plan = try base.directory.flatMap { try PruningPlan.beside(checkpoint: $0) }
        if let plan, let directory = base.directory { try plan.require(pruned: config, path: "\(directory)/\(PruningPlan.fileName)") }
        if let plan {
            var whole = config
            whole.layers = config.layers.map { _ in plan.sourceGeometry }
            original = whole
        } else {
            original = config
        }
        masks = try base.directory.flatMap { try PruningMasks.beside($0, of: config) }
        if phase == .train, recipe.lora.mask != .none, masks == nil {
            throw PruningError.noMasks(model: base.name, mask: recipe.lora.mask.rawValue)
        }
    }

    /// `trained_on`, else the newest result of an earlier phase in the run directory, else the model itself.
    static func open(_ recipe: Recipe, _ phase: Recipe.Phase) throws -> ModelReference {
        if let given = recipe.trainedOn { return try ModelReference.open(given) }
        if let output = recipe.output {
            let paths = RunPaths(output)
            let results = phase == .align ? [paths.pruned] : [paths.quantized, paths.aligned, paths.pruned]
            if let result = results.first(where: Checkpoint.hasWeights) { return try ModelReference.open(result) }
        }
        return try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
    }
}

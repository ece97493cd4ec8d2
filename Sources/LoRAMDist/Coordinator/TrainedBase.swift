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
        if phase == .train { try Self.require(recipe.model, original, plan, base) }
        masks = try base.directory.flatMap { try PruningMasks.beside($0, of: config) }
        if phase == .train, recipe.lora.mask != .none, masks == nil {
            throw PruningError.noMasks(model: base.name, mask: recipe.lora.mask.rawValue)
        }
    }

    /// The adapter is for `model`: that is what the base was made of. One that this host does not see cannot be compared.
    private static func require(_ model: String?, _ original: LlamaConfig, _ plan: PruningPlan?, _ base: ModelReference) throws {
        guard let model, model != base.name, let config = try? ModelReference.config(model) else { return }
        if let plan {
            _ = try AdapterRecovery(source: config, plan: plan)
        } else if config.layers != original.layers || config.hiddenSize != original.hiddenSize || config.vocabularySize != original.vocabularySize {
            throw TrainingError.otherModel(model: model, base: base.name)
        }
    }

    /// `trained_on`, else the result of the step before in the run directory, else the model itself.
    static func open(_ recipe: Recipe, _ phase: Recipe.Phase) throws -> ModelReference {
        if let given = recipe.trainedOn { return try ModelReference.open(given) }
        if let result = try result(before: phase == .align ? .align : .train, recipe) { return try ModelReference.open(result) }
        return try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
    }

    /// The checkpoint in the run directory that the phases before one have come to: quantized, aligned or pruned. What `run` made for a
    /// phase that the recipe no longer asks for does not count.
    static func result(before phase: WorkflowPhase, _ recipe: Recipe) throws -> String? {
        guard let output = recipe.output else { return nil }
        let paths = RunPaths(output), made = try WorkflowRecord(paths.phases).entries
        return [WorkflowPhase.quantize, .align, .prune].first {
            $0.index < phase.index && ($0.isWanted(recipe) || made[$0] == nil) && Checkpoint.hasWeights($0.outputs(paths)[0])
        }?.outputs(paths)[0]
    }
}

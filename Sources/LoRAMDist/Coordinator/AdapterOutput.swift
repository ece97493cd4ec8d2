import LoRAMEngine

/// The trained adapter as it goes to files: in the shapes of the model that it was trained on, and, where that was structurally pruned, in
/// the original's.
struct AdapterOutput {
    let tensors: [(name: String, shape: [Int])]
    private let recipe: Recipe
    private let trained: TrainedBase
    private let lora: LoRAConfig
    /// What its product is multiplied by.
    private let mask: PruningMasks?

    /// - Precondition: `trained` is the base of `train`.
    init(_ recipe: Recipe, _ trained: TrainedBase) {
        self.recipe = recipe
        self.trained = trained
        let config = trained.base.config
        guard let lora = TrainingSettings(recipe: recipe, phase: .train, tied: config.tiesWordEmbeddings).training.lora else {
            preconditionFailure("train has an adapter")
        }
        self.lora = lora
        mask = recipe.lora.mask == .none ? nil : trained.masks
        tensors = ModelStage.trainedTensors(config: config, range: .whole(config), training: .lora(lora)).map { ($0.name, $0.shape) }
    }

    /// A writer of the adapter in the trained model's shapes, as `adapter-pruned` or, without a change of shapes, as `adapter` itself.
    func makeWriter(in paths: RunPaths) throws -> AdapterWriter {
        let writer = try AdapterWriter(
            path: path(in: paths), lora: lora, tensors: tensors,
            baseModel: trained.masks == nil ? trained.base.name : recipe.model ?? trained.base.name,
            extra: trained.plan.map { [AdapterRecovery.mark(of: $0)] } ?? (mask == nil ? [] : [AdapterMask.member(recipe.lora.mask)]))
        if let mask { try writer.link(PruningMasks.fileName, from: mask.path) }
        return writer
    }

    /// Writes `adapter` from `adapter-pruned`. Without a plan it is there already.
    func recover(in paths: RunPaths) throws {
        guard let plan = trained.plan else { return }
        try AdapterRecovery(source: trained.original, plan: plan).recover(
            Adapter(directory: paths.prunedAdapter), fill: recipe.recoveryFill, to: paths.adapter, baseModel: recipe.model, replacing: true)
    }

    /// A line for the user, where the adapter is not one that any program applies rightly.
    func note(in paths: RunPaths) -> String? {
        mask == nil ? nil : "note: the product of \(paths.adapter) is to be masked: evaluate does it, plain PEFT does not"
    }

    private func path(in paths: RunPaths) -> String { trained.plan == nil ? paths.adapter : paths.prunedAdapter }
}

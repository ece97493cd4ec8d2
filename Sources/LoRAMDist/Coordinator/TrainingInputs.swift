import LoRAMEngine

/// What a phase starts from: the checkpoint it trains on, the model that the user wants in the end, tokenizer and data.
public struct TrainingInputs {
    /// The checkpoint (or random weights) that is trained on.
    public let base: ModelReference
    /// Of a structurally pruned base.
    public let plan: PruningPlan?
    /// Of a non-structurally pruned base.
    public let masks: PruningMasks?
    /// Shape of the original, whole model.
    public let original: LlamaConfig
    public let data: TrainingData
    public let evaluation: [(name: String, data: EvaluationData)]

    /// - Throws: errors of model, plan, tokenizer and data, before any work is done.
    public init(recipe: Recipe, phase: Recipe.Phase, settings: (LlamaConfig) -> TrainingSettings) throws {
        base = try Self.base(recipe, phase)
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
        let settings = settings(config), key = phase == .align ? "alignment.data.train" : "data.train"
        guard !settings.data.train.isEmpty else { throw TrainingError.noTrainingData(key: key) }
        let tokenizer = try Self.tokenizer(for: base, recipe)
        let configuration = DataConfiguration(
            sources: try settings.data.train.map { .init(path: $0.path, weight: $0.weight, format: try DatasetFormat.named($0.format.rawValue)) },
            template: try PromptTemplate.named(settings.data.template.rawValue), length: settings.data.length, packing: settings.data.packing,
            shuffle: settings.data.shuffle, answersOnly: settings.data.answersOnly)
        let bos = tokenizer?.bosTokenID ?? config.bosTokenID.map { Int32($0) }
        let eos = tokenizer?.eosTokenID ?? config.eosTokenIDs.first.map { Int32($0) }
        data = try TrainingData(
            configuration: configuration, tokenizer: tokenizer, vocabularySize: config.vocabularySize, bosTokenID: bos, eosTokenID: eos,
            seed: recipe.seed)
        evaluation = try settings.data.evaluation.map { set in
            let configuration = EvaluationData.Configuration(
                path: set.path, format: try DatasetFormat.named(set.format.rawValue),
                template: try PromptTemplate.named(settings.data.template.rawValue), answersOnly: settings.data.answersOnly,
                length: settings.data.length)
            return (
                set.name,
                try EvaluationData(configuration: configuration, tokenizer: tokenizer, vocabularySize: config.vocabularySize, bosTokenID: bos)
            )
        }
    }

    /// `trained_on`, else the newest result of an earlier phase in the run directory, else the model itself.
    static func base(_ recipe: Recipe, _ phase: Recipe.Phase) throws -> ModelReference {
        if let given = recipe.trainedOn { return try ModelReference.open(given) }
        if let output = recipe.output {
            let paths = RunPaths(output)
            let results = phase == .align ? [paths.pruned] : [paths.quantized, paths.aligned, paths.pruned]
            if let result = results.first(where: Checkpoint.hasWeights) { return try ModelReference.open(result) }
        }
        return try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
    }

    /// The tokenizer beside the base, or beside the original model; nil where neither has one, which data of token ids do not need.
    static func tokenizer(for base: ModelReference, _ recipe: Recipe) throws -> (any Tokenizer)? {
        for directory in [base.directory, recipe.model].compactMap(\.self) where FilePath.isDirectory(directory) {
            let names = ["tokenizer.model", "tokenizer.json"]
            if names.contains(where: { FilePath.exists("\(directory)/\($0)") }) { return try TokenizerLoader.load(path: directory) }
        }
        return nil
    }
}

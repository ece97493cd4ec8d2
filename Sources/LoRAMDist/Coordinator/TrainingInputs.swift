import LoRAMEngine

/// What a phase starts from: the checkpoint it trains on, the model that the user wants in the end, tokenizer and data.
public struct TrainingInputs {
    let trained: TrainedBase
    public let data: TrainingData
    public let evaluation: [(name: String, data: EvaluationData)]
    /// Identity of the checkpoint that is trained.
    let base: String

    /// - Throws: errors of model, plan, tokenizer and data, before any work is done.
    ///
    /// - Parameter cached: the sources of the training data with what a token cache holds of them; nil to read the files.
    public init(
        recipe: Recipe, phase: Recipe.Phase, cached: [DataConfiguration.Source]? = nil, settings: (LlamaConfig) -> TrainingSettings
    ) throws {
        trained = try TrainedBase(recipe, phase)
        let base = trained.base, config = base.config
        self.base = try base.identity()
        let settings = settings(config)
        guard !settings.data.train.isEmpty else { throw TrainingError.noTrainingData(phase) }
        if case .dense(let frozen) = settings.training { try Self.requireTrained(config, frozen: frozen) }
        let tokenizer = try Self.tokenizer(for: base, recipe)
        let configuration = try Self.configuration(settings, seed: recipe.seed, cached: cached)
        let bos = tokenizer?.bosTokenID ?? config.bosTokenID.map { Int32($0) }
        let eos = tokenizer?.eosTokenID ?? config.eosTokenIDs.first.map { Int32($0) }
        data = try TrainingData(
            configuration: configuration, tokenizer: tokenizer, vocabularySize: config.vocabularySize, bosTokenID: bos, eosTokenID: eos,
            seed: recipe.seed)
        evaluation = try Self.evaluationSets(settings, configuration, tokenizer: tokenizer, config: config)
    }

    /// Every pattern freezes something, and not all is frozen. A tied model's head goes by the name that it would have.
    private static func requireTrained(_ config: LlamaConfig, frozen: [NamePattern]) throws {
        let names = WeightLayout.names(config).map(\.name), known = Set(names + [WeightName.lmHead])
        if let pattern = frozen.first(where: { pattern in !known.contains { pattern.matches($0) } }) {
            throw TrainingError.freezesNothing(pattern: pattern.text)
        }
        if names.allSatisfy({ name in frozen.contains { $0.matches(name) } }) { throw TrainingError.nothingTrained }
    }

    static func configuration(_ settings: TrainingSettings, seed: UInt64, cached: [DataConfiguration.Source]? = nil) throws -> DataConfiguration {
        var configuration = DataConfiguration(
            sources: try cached ?? Self.sources(settings),
            template: try PromptTemplate.named(settings.data.template.rawValue), length: settings.data.length, packing: settings.data.packing,
            shuffle: settings.data.shuffle, answersOnly: settings.data.answersOnly)
        if settings.data.validation > 0 { configuration.validation = ValidationSplit(share: settings.data.validation, seed: seed) }
        return configuration
    }

    /// `data.evaluation`, and what is held back of the training data.
    static func evaluationSets(
        _ settings: TrainingSettings, _ configuration: DataConfiguration, tokenizer: (any Tokenizer)?, config: LlamaConfig
    ) throws -> [(name: String, data: EvaluationData)] {
        let bos = tokenizer?.bosTokenID ?? config.bosTokenID.map { Int32($0) }
        var sets = try settings.data.evaluation.map { (name: $0.name, path: $0.path, format: try DatasetFormat.named($0.format.rawValue), split: ValidationSplit?.none) }
        if let split = configuration.validation {
            // One set a file; a single one is called `validation`.
            let sources = configuration.sources
            sets += sources.enumerated().map { index, source in
                (name: sources.count == 1 ? "validation" : "validation-\(index + 1)", path: source.path, format: source.format, split: split)
            }
        }
        return try sets.map { set in
            var evaluated = EvaluationData.Configuration(
                path: set.path, format: set.format, template: configuration.template, answersOnly: configuration.answersOnly,
                length: configuration.length)
            evaluated.split = set.split
            return (
                set.name,
                try EvaluationData(configuration: evaluated, tokenizer: tokenizer, vocabularySize: config.vocabularySize, bosTokenID: bos)
            )
        }
    }

    /// What a phase reads, as far as it is there.
    static func paths(_ recipe: Recipe, _ phase: Recipe.Phase) -> [String?] {
        let data = phase == .align ? recipe.alignment.data : recipe.data, results = recipe.output.map { RunPaths($0) }
        return [recipe.trainedOn, recipe.model, recipe.lora.initAdapter, results?.pruned, results?.aligned, results?.quantized]
            + data.train.map(\.path) + data.evaluation.map(\.path)
    }

    private static func sources(_ settings: TrainingSettings) throws -> [DataConfiguration.Source] {
        try settings.data.train.map { .init(path: $0.path, weight: $0.weight, format: try DatasetFormat.named($0.format.rawValue)) }
    }

    /// All ranks call this. The training data's sources with their tokens from `data.cache`, made by all ranks together where they
    /// were not there; nil where the recipe names no cache, or there is no tokenizer.
    static func cachedSources(_ job: Job, phase: Recipe.Phase) throws -> [DataConfiguration.Source]? {
        let recipe = job.recipe
        let prepared = try job.world.together { () -> (sources: [DataConfiguration.Source], options: TokenCacheBuilder.Options)? in
            let base = try TrainedBase.open(recipe, phase), config = base.config
            let settings = TrainingSettings(recipe: recipe, phase: phase, tied: config.tiesWordEmbeddings)
            guard let directory = settings.data.cache, let path = tokenizerPath(for: base, recipe) else { return nil }
            let tokenizer = try TokenizerLoader.load(path: path)
            let options = TokenCacheBuilder.Options(
                cache: TokenCache(directory: directory), tokenizer: tokenizer, tokenizerHash: try TokenizerLoader.contentHash(path: path),
                vocabularySize: config.vocabularySize, template: try PromptTemplate.named(settings.data.template.rawValue),
                answersOnly: settings.data.answersOnly, bosTokenID: tokenizer.bosTokenID ?? config.bosTokenID.map { Int32($0) },
                eosTokenID: tokenizer.eosTokenID ?? config.eosTokenIDs.first.map { Int32($0) })
            return (try sources(settings), options)
        }
        guard let prepared else { return nil }
        return try TokenCacheBuild.fill(job, prepared.sources, prepared.options)
    }

    /// The tokenizer beside the base, or beside the original model; nil where neither has one, which data of token ids do not need.
    static func tokenizer(for base: ModelReference, _ recipe: Recipe) throws -> (any Tokenizer)? {
        try tokenizerPath(for: base, recipe).map { try TokenizerLoader.load(path: $0) }
    }

    private static func tokenizerPath(for base: ModelReference, _ recipe: Recipe) -> String? { tokenizerPath(in: [base.directory, recipe.model]) }

    /// The first of the directories that holds a tokenizer.
    static func tokenizerPath(in directories: [String?]) -> String? {
        directories.compactMap(\.self).first { directory in
            FilePath.isDirectory(directory) && TokenizerLoader.fileNames.contains { FilePath.exists("\(directory)/\($0)") }
        }
    }
}

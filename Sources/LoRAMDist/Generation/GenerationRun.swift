import LoRAMEngine

/// Generates with a checkpoint, with or without an adapter, over the job's grid.
public enum GenerationRun {
    public struct Settings: Sendable {
        /// What the model goes on from.
        public enum Source: Sendable {
            case text(String)
            case file(String)
        }

        public var model: String
        public var syntheticSeed: UInt64?
        public var adapter: String?
        public var source: Source
        public var template: PromptTemplate
        public var addsBOS: Bool
        public var generation: GenerationSettings
        /// Sequences under way at once in each replica.
        public var batchSize: Int

        public init(
            model: String, syntheticSeed: UInt64? = nil, adapter: String? = nil, source: Source, template: PromptTemplate = .none, addsBOS: Bool = true,
            generation: GenerationSettings, batchSize: Int = GenerationStage.rowsTogether
        ) {
            self.model = model
            self.syntheticSeed = syntheticSeed
            self.adapter = adapter
            self.source = source
            self.template = template
            self.addsBOS = addsBOS
            self.generation = generation
            self.batchSize = batchSize
        }
    }

    public struct Result: Sendable {
        /// On rank 0.
        public var completions: [Completion]
        public var statistics: TextGenerator.Statistics

        public var json: JSONValue {
            [
                "completions": .array(completions.map(\.json)), "prompt_tokens": .integer(statistics.promptTokens),
                "generated_tokens": .integer(statistics.generatedTokens), "seconds": .double(statistics.seconds),
                "tokens_per_second": .double(statistics.tokensPerSecond),
            ]
        }
    }

    private struct Inputs {
        var model: ModelReference
        var adapter: Adapter?
        /// Of an adapter whose product is masked.
        var masks: PruningMasks?
        var tokenizer: any Tokenizer
        var prompts: [[Int32]]
        var stopTokenIDs: Set<Int32>
    }

    /// All ranks call this. `begin` is called on rank 0 before the first text, with the number of completions that will come.
    public static func run(
        _ job: Job, _ settings: Settings, begin: (_ completionCount: Int) -> Void = { _ in }, onText: ((TextPiece) -> Void)? = nil
    ) throws -> Result {
        job.marker.mark("reading model and prompts")
        let inputs = try job.world.together { try open(job, settings) }
        let config = inputs.model.config, training = Training.none(adapter: inputs.adapter?.lora)
        let longest = inputs.prompts.map(\.count).max()! + settings.generation.maxTokens
        let sequences = min(settings.batchSize, inputs.prompts.count * settings.generation.sampleCount)
        // Only the weights count; the stage's own buffers serve nobody.
        let capacity = StageCapacity(tokens: 1, positions: 1)
        let cost = ModelCost(
            config: config, training: .lora(LoRAConfig(rank: 0, alpha: 1, targets: [])), contextLength: longest, recompute: false)
        let process = try job.processMemory()
        let forecast = StageStorage.forecast(job.recipe, weights: inputs.model.weightBytes, isFile: inputs.model.isFile, quantizes: false)
        let (grid, seat) = try job.makeGrid(
            layers: config.layerCount, allowsReplicas: { _ in true },
            memories: { dims in
                let partition = try cost.partition(stages: dims.stages)
                return (0..<dims.stages).map { stage in
                    StageMemory(
                        config: config, range: partition.range(stage: stage), training: training, capacity: capacity, weights: forecast.weights,
                        sharesFrozen: forecast.sharesFrozen, kernels: job.kernels, workers: job.pool.threadCount, process: process,
                        usesMasks: inputs.masks != nil, generation: GenerationCapacity(sequences: sequences, positions: longest))
                }
            })
        let storage = try StageStorage.resolve(job.recipe, model: inputs.model, quantizes: false, seat: seat)
        let stage = try job.world.together {
            let stage = try ModelStage(
                source: inputs.model.source, range: try cost.partition(stages: grid.dims.stages).range(stage: seat.position.stage), training: training,
                capacity: capacity, pool: job.pool, kernels: job.kernels, storage: storage, masks: inputs.masks)
            if let adapter = inputs.adapter { try stage.loadParameters(from: adapter) }
            return stage
        }
        let generator = TextGenerator(
            stage: stage, seat: seat, tokenizer: inputs.tokenizer, batchSize: settings.batchSize, stopTokenIDs: inputs.stopTokenIDs, marker: job.marker)
        if job.world.rank == 0 { begin(inputs.prompts.count * settings.generation.sampleCount) }
        let completions = try generator.generate(inputs.prompts, settings.generation, onText: onText)
        try grid.free()
        return Result(completions: completions, statistics: generator.statistics)
    }

    private static func open(_ job: Job, _ settings: Settings) throws -> Inputs {
        try settings.generation.check()
        let model = try ModelReference.open(settings.model, syntheticSeed: settings.syntheticSeed)
        let config = model.config
        let adapter = try settings.adapter.map { try Adapter(directory: $0) }
        try adapter?.validate(for: config)
        try adapter?.require(plan: model.plan())
        let masks = try adapter.flatMap { try AdapterMask.masks(of: $0, config: config) }
        guard let tokenizer = try TrainingInputs.tokenizer(for: model, job.recipe) else { throw GenerationError.needsTokenizer(model: settings.model) }
        let encoder = try PromptEncoder(tokenizer: tokenizer, template: settings.template, addsBOS: settings.addsBOS)
        let prompts: [[Int32]]
        switch settings.source {
        case .text(let text): prompts = [encoder.encode(text)]
        case .file(let path): prompts = try encoder.read(path: path)
        }
        try settings.generation.check(prompts: prompts, config: config)
        let stops = StopTokens.of(config, directory: model.directory, tokenizer: tokenizer).union(encoder.stopTokenIDs)
        return Inputs(model: model, adapter: adapter, masks: masks, tokenizer: tokenizer, prompts: prompts, stopTokenIDs: stops)
    }
}

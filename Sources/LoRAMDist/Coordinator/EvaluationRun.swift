import LoRAMEngine

/// Scores datasets and tasks with checkpoints, with or without adapters, over the job's grid.
public enum EvaluationRun {
    /// What is scored with: a column of the table.
    public struct Subject: Sendable, Equatable {
        /// Empty for the only one.
        public var label: String
        public var model: String
        public var syntheticSeed: UInt64?
        public var adapter: String?

        public init(label: String = "", model: String, syntheticSeed: UInt64? = nil, adapter: String? = nil) {
            self.label = label
            self.model = model
            self.syntheticSeed = syntheticSeed
            self.adapter = adapter
        }
    }

    public struct Settings: Sendable {
        public var perplexity: EvaluationData.Configuration?
        public var tasks: [ChoiceData.Settings]
        /// Windows of a micro-batch.
        public var microBatchSize: Int

        public init(perplexity: EvaluationData.Configuration?, tasks: [ChoiceData.Settings] = [], microBatchSize: Int) {
            self.perplexity = perplexity
            self.tasks = tasks
            self.microBatchSize = microBatchSize
        }

        /// Tokens of the longest window.
        var length: Int { max(perplexity?.length ?? 0, tasks.map(\.length).max() ?? 0) }
    }

    private struct Inputs {
        var model: ModelReference
        var adapter: Adapter?
        /// Of an adapter whose product is masked.
        var masks: PruningMasks?
        var perplexity: EvaluationData?
        var tasks: [ChoiceData]
    }

    /// All ranks call this. One report a subject, in their order; each is in memory only while it is scored.
    public static func run(_ job: Job, _ subjects: [Subject], _ settings: Settings) throws -> [EvaluationReport] {
        guard settings.perplexity != nil || !settings.tasks.isEmpty else { throw EvaluationError.nothingToScore }
        return try subjects.map { try score(job, $0, settings) }
    }

    private static func score(_ job: Job, _ subject: Subject, _ settings: Settings) throws -> EvaluationReport {
        job.marker.mark("reading model and data")
        let inputs = try job.world.together { try open(job, subject, settings) }
        let config = inputs.model.config
        let cost = ModelCost(
            config: config, training: .lora(LoRAConfig(rank: 0, alpha: 1, targets: [])), contextLength: settings.length, recompute: false)
        let training = Training.none(adapter: inputs.adapter?.lora)
        let capacity = StageCapacity(tokens: settings.microBatchSize * settings.length, positions: settings.length)
        let forecast = StageStorage.forecast(job.recipe, weights: inputs.model.weightBytes, isFile: inputs.model.isFile, quantizes: false)
        let process = try job.processMemory()
        let (grid, seat) = try job.makeGrid(
            layers: config.layerCount, allowsReplicas: { _ in true },
            memories: { dims in
                let partition = try cost.partition(stages: dims.stages)
                return (0..<dims.stages).map { stage in
                    StageMemory(
                        config: config,
                        range: StageRange(layers: partition.layers[stage], isFirst: stage == 0, isLast: stage == dims.stages - 1),
                        training: training, capacity: capacity, weights: forecast.weights, sharesFrozen: forecast.sharesFrozen,
                        kernels: job.kernels, workers: job.pool.threadCount, process: process, usesMasks: inputs.masks != nil)
                }
            })
        let stageIndex = seat.position.stage
        let storage = try StageStorage.resolve(job.recipe, model: inputs.model, quantizes: false, seat: seat)
        let stage = try job.world.together {
            let partition = try cost.partition(stages: grid.dims.stages)
            let stage = try ModelStage(
                source: inputs.model.source,
                range: StageRange(
                    layers: partition.layers[stageIndex], isFirst: stageIndex == 0, isLast: stageIndex == grid.dims.stages - 1),
                training: training, capacity: capacity, pool: job.pool, kernels: job.kernels, storage: storage, masks: inputs.masks)
            if let adapter = inputs.adapter { try stage.loadParameters(from: adapter) }
            return stage
        }
        let evaluator = Evaluator(stages: [stage], seat: seat, microBatchSize: settings.microBatchSize, marker: job.marker)
        var report = EvaluationReport(label: subject.label)
        report.perplexity = try inputs.perplexity.map { data in
            let result = try evaluator.score(data)
            return .init(perplexity: result.perplexity, meanLoss: result.meanLoss, tokenCount: result.tokenCount)
        }
        report.tasks = try inputs.tasks.map { try $0.result(losses: evaluator.sequenceLosses($0.batches)) }
        try grid.free()
        return report
    }

    private static func open(_ job: Job, _ subject: Subject, _ settings: Settings) throws -> Inputs {
        let model = try ModelReference.open(subject.model, syntheticSeed: subject.syntheticSeed)
        let config = model.config
        guard settings.length <= config.maxPositionCount else {
            throw TrainingError.windowBeyondPositions(key: "--length", length: settings.length, positions: config.maxPositionCount)
        }
        let adapter = try subject.adapter.map { try Adapter(directory: $0) }
        try adapter?.validate(for: config)
        let masks = try adapter.flatMap { try AdapterMask.masks(of: $0, config: config) }
        let tokenizer = try TrainingInputs.tokenizer(for: model, job.recipe)
        let perplexity = try settings.perplexity.map {
            try EvaluationData(
                configuration: $0, tokenizer: tokenizer, vocabularySize: config.vocabularySize,
                bosTokenID: tokenizer?.bosTokenID ?? config.bosTokenID.map { Int32($0) })
        }
        let tasks = try settings.tasks.map {
            guard let tokenizer else { throw EvaluationError.needsTokenizer(model: subject.model) }
            return try ChoiceData(
                $0, tokenizer: tokenizer, vocabularySize: config.vocabularySize, batchTokens: settings.microBatchSize * settings.length)
        }
        return Inputs(model: model, adapter: adapter, masks: masks, perplexity: perplexity, tasks: tasks)
    }
}

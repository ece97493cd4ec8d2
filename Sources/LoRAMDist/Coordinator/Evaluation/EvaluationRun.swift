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

    /// How programs are drawn from a model (humaneval).
    public struct ProgramSampling: Sendable {
        public var samples = 10
        /// Of which the best counts.
        public var temperatures = [0, 0.2, 0.4, 0.6, 0.8]
        public var maxTokens = 512
        public var seed: UInt64

        public init(seed: UInt64) { self.seed = seed }
    }

    /// Layer by layer, where a model does not fit into memory.
    public struct Streaming: Sendable {
        /// Whether it fits or not.
        public var isForced = false
        /// Bytes that each rank may use; nil: its share of the machine's memory.
        public var memoryByteCount: Int?
        /// For activations that do not fit.
        public var spillDirectory = FileSystem.spillDirectory

        public init() {}
    }

    public struct Settings: Sendable {
        public var perplexity: EvaluationData.Configuration?
        public var tasks: [ChoiceData.Settings]
        /// Tasks whose answers the model writes.
        public var writtenTasks: [GenerationTaskData.Settings] = []
        /// For those that run programs: started before MPI, on rank 0 at least.
        public var sandbox: ProgramSandbox?
        public var programLimits = ProgramSandbox.Limits()
        /// Whether a task's answers begin with BOS, where the tokenizer has one.
        public var addsBOS = true
        /// Windows of a micro-batch.
        public var microBatchSize: Int
        public var streaming = Streaming()

        public init(perplexity: EvaluationData.Configuration?, tasks: [ChoiceData.Settings] = [], microBatchSize: Int) {
            self.perplexity = perplexity
            self.tasks = tasks
            self.microBatchSize = microBatchSize
        }

        /// Adds a task that the recipe or the command line names. A task that runs programs needs `sandbox`.
        ///
        /// - Parameter length: tokens of a choice task's sequences at most.
        /// - Throws: `EvaluationError.unknownTask`.
        public mutating func add(_ task: EvaluationRecipe.Task, length: Int, programs: ProgramSampling) throws {
            switch try EvaluationTask.named(task.name) {
            case .choice(let choice):
                tasks.append(
                    .init(
                        task: choice, path: task.path, fewShotPath: task.fewshot, shots: task.shots, limit: task.limit, length: length, addsBOS: addsBOS))
            case .generation(.gsm8k):
                writtenTasks.append(.gsm8k(.init(path: task.path, fewShotPath: task.fewshot, shots: task.shots, limit: task.limit)))
            case .generation(.humaneval):
                writtenTasks.append(
                    .humaneval(
                        .init(
                            path: task.path, limit: task.limit, samples: programs.samples, temperatures: programs.temperatures,
                            maxTokens: programs.maxTokens, seed: programs.seed)))
            }
        }

        /// Tokens of the longest window.
        var length: Int { max(perplexity?.length ?? 0, tasks.map(\.length).max() ?? 0, 1) }
        var capacity: StageCapacity { StageCapacity(tokens: microBatchSize * length, positions: length) }
    }

    fileprivate struct Inputs {
        var model: ModelReference
        var adapter: Adapter?
        /// Of an adapter whose product is masked.
        var masks: PruningMasks?
        var perplexity: EvaluationData?
        var tasks: [ChoiceData]
        var writtenTasks: [GenerationTaskData]
        var tokenizer: (any Tokenizer)?
    }

    /// All ranks call this. One report a subject, in their order; each is in memory only while it is scored.
    public static func run(_ job: Job, _ subjects: [Subject], _ settings: Settings) throws -> [EvaluationReport] {
        guard settings.perplexity != nil || !settings.tasks.isEmpty || !settings.writtenTasks.isEmpty else { throw EvaluationError.nothingToScore }
        return try subjects.map { try score(job, $0, settings) }
    }

    private static func score(_ job: Job, _ subject: Subject, _ settings: Settings) throws -> EvaluationReport {
        try job.stage([subject.model, subject.adapter, settings.perplexity?.path] + settings.tasks.flatMap { [$0.path, $0.fewShotPath] } + settings.writtenTasks.flatMap(\.paths))
        job.marker.mark("reading model and data")
        let inputs = try job.world.together { try open(job, subject, settings) }
        let config = inputs.model.config
        let cost = ModelCost(
            config: config, training: .lora(LoRAConfig(rank: 0, alpha: 1, targets: [])), contextLength: settings.length, recompute: false)
        let training = Training.none(adapter: inputs.adapter?.lora)
        let forecast = StageStorage.forecast(job.recipe, weights: inputs.model.weightBytes, isFile: inputs.model.isFile, quantizes: false)
        let process = try job.processMemory()
        let nodes = try NodeMap(job.world, rankByteCount: settings.streaming.memoryByteCount)
        let choice = GridChoice(nodes: nodes, layers: config.layerCount) { dims in
            let partition = try cost.partition(stages: dims.stages)
            return (0..<dims.stages).map { stage in
                StageMemory(
                    config: config, range: partition.range(stage: stage), training: training, capacity: settings.capacity, weights: forecast.weights,
                    sharesFrozen: forecast.sharesFrozen, kernels: job.kernels, workers: job.pool.threadCount, process: process,
                    usesMasks: inputs.masks != nil, generation: inputs.writing(dims))
            }
        }
        guard let dims = try residentDims(job, choice, settings) else {
            if let task = inputs.writtenTasks.first { throw EvaluationError.writesWhileStreaming(task: task.task) }
            try job.stage(tensorsOf: [inputs.model.directory, subject.adapter], for: [.whole(config)], config: config)
            return try stream(job, inputs, subject, settings, memoryByteCount: nodes.usableByteCount(ofRank: job.world.rank))
        }
        let (grid, seat) = try job.makeGrid(dims)
        let partition = try job.world.together { try cost.partition(stages: dims.stages) }
        try job.stage(tensorsOf: [inputs.model.directory, subject.adapter], for: [partition.range(stage: seat.position.stage)], config: config)
        let storage = try StageStorage.resolve(job.recipe, model: inputs.model, quantizes: false, seat: seat)
        let stage = try job.world.together {
            let stage = try ModelStage(
                source: inputs.model.source, range: partition.range(stage: seat.position.stage), training: training, capacity: settings.capacity,
                pool: job.pool, kernels: job.kernels, storage: storage, masks: inputs.masks)
            if let adapter = inputs.adapter { try stage.loadParameters(from: adapter) }
            return stage
        }
        let evaluator = Evaluator(stages: [stage], seat: seat, microBatchSize: settings.microBatchSize, marker: job.marker)
        var report = try report(inputs, subject, settings) { _ in evaluator }
        if let tokenizer = inputs.tokenizer, !inputs.writtenTasks.isEmpty {
            let stops = StopTokens.of(config, directory: inputs.model.directory, tokenizer: tokenizer)
            let answers = GeneratedAnswers(
                job: job, generator: TextGenerator(stage: stage, seat: seat, tokenizer: tokenizer, stopTokenIDs: stops, marker: job.marker),
                tokenizer: tokenizer, addsBOS: settings.addsBOS, positionCount: config.maxPositionCount, sandbox: settings.sandbox,
                limits: settings.programLimits)
            report.written = try inputs.writtenTasks.compactMap(answers.score)
        }
        try grid.free()
        return report
    }

    /// The grid whose ranks hold the model; nil: it is to be streamed.
    private static func residentDims(_ job: Job, _ choice: GridChoice, _ settings: Settings) throws -> ParallelDims? {
        if settings.streaming.isForced {
            if let stages = job.recipe.parallel.stages.given, stages > 1 { throw EvaluationError.streamsWithStages(found: stages) }
            return nil
        }
        return try job.world.together {
            do {
                return try choice.resolve(job.recipe.parallel, allowsReplicas: { _ in true })
            } catch TopologyError.exceedsMemory {
                return nil
            }
        }
    }

    /// Every rank reads the whole model, layer by layer, for its share of all texts.
    private static func stream(
        _ job: Job, _ inputs: Inputs, _ subject: Subject, _ settings: Settings, memoryByteCount: Int
    ) throws -> EvaluationReport {
        let (grid, seat) = try job.makeGrid(ParallelDims(stages: 1, replicas: job.world.size))
        var isRemote = false
        if case .checkpoint(let checkpoint) = inputs.model.origin { isRemote = FileSystemKind.isRemote(checkpoint.directory) }
        let scoring = StreamedScoring(
            model: inputs.model, adapter: inputs.adapter, masks: inputs.masks,
            settings: .init(
                capacity: settings.capacity, memoryByteCount: memoryByteCount, spillDirectory: settings.streaming.spillDirectory),
            pool: job.pool, kernels: job.kernels, readsWhole: isRemote)
        let batches = StreamedBatches(seat: seat)
        if let data = inputs.perplexity {
            try batches.add(count: data.microBatchCount(size: settings.microBatchSize)) { try data.microBatch($0, size: settings.microBatchSize) }
        }
        for task in inputs.tasks { try batches.add(count: task.batches.count) { task.batches[$0] } }
        let scorers = try batches.score(scoring, job)
        let report = try report(inputs, subject, settings) { scorers[$0] }
        try grid.free()
        return report
    }

    /// - Parameter scorer: of the datasets, perplexity's before the tasks'.
    private static func report(
        _ inputs: Inputs, _ subject: Subject, _ settings: Settings, scorer: (Int) -> any BatchScorer
    ) throws -> EvaluationReport {
        var report = EvaluationReport(label: subject.label)
        report.perplexity = try inputs.perplexity.map { data in
            let result = try scorer(0).score(data, microBatchSize: settings.microBatchSize)
            return .init(perplexity: result.perplexity, meanLoss: result.meanLoss, tokenCount: result.tokenCount)
        }
        let first = inputs.perplexity == nil ? 0 : 1
        report.tasks = try inputs.tasks.enumerated().map { try $1.result(losses: scorer(first + $0).sequenceLosses($1.batches)) }
        return report
    }

    private static func open(_ job: Job, _ subject: Subject, _ settings: Settings) throws -> Inputs {
        let storage = job.storage, model = try ModelReference.open(storage.local(subject.model), syntheticSeed: subject.syntheticSeed)
        let config = model.config
        guard settings.length <= config.maxPositionCount else {
            throw TrainingError.windowBeyondPositions(key: "--length", length: settings.length, positions: config.maxPositionCount)
        }
        let adapter = try subject.adapter.map { try Adapter(directory: storage.local($0)) }
        try adapter?.validate(for: config)
        try adapter?.require(plan: model.plan())
        let masks = try adapter.flatMap { try AdapterMask.masks(of: $0, config: config) }
        let tokenizer = try TrainingInputs.tokenizer(for: model, job.recipe)
        let perplexity = try settings.perplexity.map { given in
            var configuration = given
            configuration.path = storage.local(given.path)
            return try EvaluationData(
                configuration: configuration, tokenizer: tokenizer, vocabularySize: config.vocabularySize,
                bosTokenID: tokenizer?.bosTokenID ?? config.bosTokenID.map { Int32($0) })
        }
        let tasks = try settings.tasks.map {
            guard let tokenizer else { throw EvaluationError.needsTokenizer(model: subject.model) }
            var task = $0
            task.path = storage.local(task.path)
            task.fewShotPath = task.fewShotPath.map(storage.local)
            return try ChoiceData(
                task, tokenizer: tokenizer, vocabularySize: config.vocabularySize, batchTokens: settings.microBatchSize * settings.length)
        }
        let writtenTasks = try settings.writtenTasks.map { try GenerationTaskData($0.replacingPaths(storage.local)) }
        if !writtenTasks.isEmpty, tokenizer == nil { throw EvaluationError.needsTokenizer(model: subject.model) }
        return Inputs(
            model: model, adapter: adapter, masks: masks, perplexity: perplexity, tasks: tasks, writtenTasks: writtenTasks, tokenizer: tokenizer)
    }
}

extension EvaluationRun.Inputs {
    /// What writing the tasks' answers takes beside scoring; nil: nothing is written.
    fileprivate func writing(_ dims: ParallelDims) -> GenerationCapacity? {
        guard let most = writtenTasks.map(\.completionCount).max() else { return nil }
        return GenerationCapacity(
            sequences: max(1, min(GenerationStage.rowsTogether, (most + dims.replicas - 1) / dims.replicas)), positions: model.config.maxPositionCount)
    }
}

import LoRAMEngine

/// Scores a dataset with a checkpoint, with or without an adapter, over the job's grid.
public enum EvaluationRun {
    public struct Settings: Sendable {
        public var model: String
        public var syntheticSeed: UInt64?
        public var adapter: String?
        public var data: EvaluationData.Configuration
        /// Windows of a micro-batch.
        public var microBatchSize: Int

        public init(model: String, syntheticSeed: UInt64?, adapter: String?, data: EvaluationData.Configuration, microBatchSize: Int) {
            self.model = model
            self.syntheticSeed = syntheticSeed
            self.adapter = adapter
            self.data = data
            self.microBatchSize = microBatchSize
        }
    }

    /// All ranks call this.
    public static func perplexity(_ job: Job, _ settings: Settings) throws -> Evaluator.Result {
        job.marker.mark("reading model and data")
        let (model, adapter, masks, data) = try job.world.together {
            let model = try ModelReference.open(settings.model, syntheticSeed: settings.syntheticSeed)
            let config = model.config
            guard settings.data.length <= config.maxPositionCount else {
                throw TrainingError.windowBeyondPositions(key: "--length", length: settings.data.length, positions: config.maxPositionCount)
            }
            let adapter = try settings.adapter.map { try Adapter(directory: $0) }
            try adapter?.validate(for: config)
            let masks = try adapter.flatMap { try AdapterMask.masks(of: $0, config: config) }
            let tokenizer = try TrainingInputs.tokenizer(for: model, job.recipe)
            let data = try EvaluationData(
                configuration: settings.data, tokenizer: tokenizer, vocabularySize: config.vocabularySize,
                bosTokenID: tokenizer?.bosTokenID ?? config.bosTokenID.map { Int32($0) })
            return (model, adapter, masks, data)
        }
        let config = model.config
        let cost = ModelCost(
            config: config, training: .lora(LoRAConfig(rank: 0, alpha: 1, targets: [])), contextLength: settings.data.length, recompute: false)
        let training = Training.none(adapter: adapter?.lora)
        let capacity = StageCapacity(tokens: settings.microBatchSize * settings.data.length, positions: settings.data.length)
        let forecast = StageStorage.forecast(job.recipe, weights: model.weightBytes, isFile: model.isFile, quantizes: false)
        let (grid, seat) = try job.makeGrid(
            layers: config.layerCount, allowsReplicas: { _ in true },
            memories: { dims in
                let partition = try cost.partition(stages: dims.stages)
                return (0..<dims.stages).map { stage in
                    StageMemory(
                        config: config,
                        range: StageRange(layers: partition.layers[stage], isFirst: stage == 0, isLast: stage == dims.stages - 1),
                        training: training, capacity: capacity, weights: forecast.weights, sharesFrozen: forecast.sharesFrozen,
                        kernels: job.kernels, workers: job.pool.threadCount)
                }
            })
        let stageIndex = seat.position.stage
        let storage = try StageStorage.resolve(job.recipe, model: model, quantizes: false, seat: seat)
        let stage = try job.world.together {
            let partition = try cost.partition(stages: grid.dims.stages)
            let stage = try ModelStage(
                source: model.source,
                range: StageRange(
                    layers: partition.layers[stageIndex], isFirst: stageIndex == 0, isLast: stageIndex == grid.dims.stages - 1),
                training: training, capacity: capacity, pool: job.pool, kernels: job.kernels, storage: storage, masks: masks)
            if let adapter { try stage.loadParameters(from: adapter) }
            return stage
        }
        let result = try Evaluator(stage: stage, seat: seat, microBatchSize: settings.microBatchSize, marker: job.marker).score(data)
        try grid.free()
        return result
    }
}

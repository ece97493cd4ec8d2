import LoRAMEngine

/// What training on one grid takes: memory, traffic, bubble and time of a step, foretold without processes or weights.
///
/// Every micro-batch is taken to be full: `batch.micro` samples of `data.length` tokens.
public struct GridPlan: Sendable {
    public struct Stage: Sendable {
        public let index: Int
        public let range: StageRange
        /// Parameters of its weights; of a tied head that is a copy too.
        public let weightParameters: Int
        public let trainedParameters: Int
        public let memory: StageMemory
        /// Micro-batches between forward and backward at once.
        public let slots: Int
        /// Operations of a step.
        public let flops: Double
        /// Bytes that a rank of the stage sends in a step: activations forwards and gradients backwards.
        public let boundaryBytes: Int
        /// Bytes that it sends to sum its gradient over the replicas.
        public let allReduceBytes: Int
        /// Seconds that it computes in a step.
        public let computeSeconds: Double
        /// Seconds of the all-reduce that no backward pass covers.
        public let exposedReduceSeconds: Double
    }

    public let layout: TrainingLayout
    public let speed: PlanSpeed
    public let stages: [Stage]
    /// A step as it is expected to go, without the all-reduce; seconds.
    public let simulation: ScheduleSimulation
    /// Share of the stages' time in which they wait, unequal stages and messages included.
    public let bubble: Double
    /// The same of a pipeline whose stages cost the same and whose messages cost nothing.
    public let equalStagesBubble: Double
    public let stepSeconds: Double

    /// Mean over largest stage cost of the cut by cost, and of one with equal numbers of layers.
    public var partitionEfficiency: Double { layout.partition.efficiency }
    public let equalLayersEfficiency: Double

    public var tokensPerStep: Int { layout.settings.batch.global * layout.settings.data.length }
    public var tokensPerSecond: Double { Double(tokensPerStep) / stepSeconds }
    /// Operations of a step over all ranks.
    public var stepFlops: Double { stages.reduce(0) { $0 + $1.flops } * Double(layout.dims.replicas) }

    /// - Throws: `ScheduleError`, which no schedule of ours raises.
    public init(_ layout: TrainingLayout, memories: [StageMemory], speed: PlanSpeed) throws {
        self.layout = layout
        self.speed = speed
        let dims = layout.dims, config = layout.config, tokens = Double(layout.settings.microBatchTokens)
        let microBatches = layout.schedule.microBatchCount
        let seconds = (0..<dims.stages).map { layout.cost.stage($0, of: layout.partition).scaled(by: tokens / speed.rankRate) }
        let boundaryBytes = layout.boundaryCount * 4
        // The slowest boundary stands for all.
        let transfer = (0..<dims.stages - 1).map { stage in
            speed.seconds(bytes: Double(boundaryBytes), from: dims.rank(stage: stage, replica: 0), to: dims.rank(stage: stage + 1, replica: 0))
        }.max() ?? 0
        simulation = try ScheduleSimulation(layout.schedule, costs: seconds, transfer: transfer)
        bubble = simulation.bubble

        let mean = seconds.reduce(LayerCost(), +).scaled(by: 1 / Double(dims.stages))
        equalStagesBubble = try ScheduleSimulation(layout.schedule, costs: Array(repeating: mean, count: dims.stages)).bubble
        equalLayersEfficiency = Self.equalLayersEfficiency(layout.cost, stages: dims.stages)

        var stages: [Stage] = [], end = 0.0
        for stage in 0..<dims.stages {
            let range = layout.range(stage: stage), replicas = dims.replicas
            let gradientBytes = layout.gradientCount(stage: stage) * 4
            let reduceBytes = 2 * (replicas - 1) * gradientBytes / replicas
            let reduceSeconds = speed.seconds(
                bytes: Double(reduceBytes), from: dims.rank(stage: stage, replica: 0), to: dims.rank(stage: stage, replica: replicas - 1))
            // It starts while the last backward pass goes down the stage.
            let exposed = max(0, reduceSeconds - seconds[stage].backward)
            end = max(end, simulation.ends[stage] + exposed)
            let trained = ModelStage.trainedTensors(config: config, range: range, training: layout.settings.training)
            stages.append(
                Stage(
                    index: stage, range: range, weightParameters: Self.weightParameters(range, config),
                    trainedParameters: trained.reduce(0) { $0 + ($1.tiedTo == nil ? $1.shape.reduce(1, *) : 0) }, memory: memories[stage],
                    slots: layout.schedule.slotCount(stage: stage),
                    flops: layout.cost.stage(stage, of: layout.partition).total * tokens * Double(microBatches),
                    boundaryBytes: microBatches * boundaryBytes * ((range.isLast ? 0 : 1) + (range.isFirst ? 0 : 1)),
                    allReduceBytes: reduceBytes, computeSeconds: simulation.busy[stage], exposedReduceSeconds: exposed))
        }
        self.stages = stages
        stepSeconds = end
    }

    private static func weightParameters(_ range: StageRange, _ config: LlamaConfig) -> Int {
        let matrix = config.vocabularySize * config.hiddenSize
        let layers = range.layers.reduce(0) { $0 + config.parameterCount(of: config.layers[$1]) }
        return layers + (range.isFirst ? matrix : 0) + (range.isLast ? config.hiddenSize + matrix : 0)
    }

    private static func equalLayersEfficiency(_ cost: ModelCost, stages: Int) -> Double {
        let count = cost.layers.count
        var costs = (0..<stages).map { stage in
            cost.layers[stage * count / stages..<(stage + 1) * count / stages].reduce(0) { $0 + $1.total }
        }
        costs[0] += cost.embedding.total
        costs[stages - 1] += cost.head.total
        let largest = costs.max() ?? 0
        return largest > 0 ? costs.reduce(0, +) / (Double(stages) * largest) : 1
    }
}

extension LayerCost {
    func scaled(by factor: Double) -> LayerCost {
        LayerCost(
            forward: forward * factor, recompute: recompute * factor, inputGradient: inputGradient * factor, weightGradient: weightGradient * factor)
    }
}

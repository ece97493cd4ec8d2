import LoRAMEngine

/// What training on one grid takes: memory, traffic, bubble and time of a step, foretold without processes or weights.
///
/// Every micro-batch is taken to be full: `batch.micro` samples of `data.length` tokens.
public struct GridPlan: Sendable {
    public struct Stage: Sendable {
        public let index: Int
        /// What it holds of the model: one run of layers a chunk.
        public let ranges: [StageRange]
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

        /// `0-3, 8-11 + head`
        public var layersText: String {
            let layers = ranges.filter { !$0.layers.isEmpty }.map { "\($0.layers.lowerBound)-\($0.layers.upperBound - 1)" }
            let ends = (ranges.contains(where: \.isFirst) ? " + embedding" : "") + (ranges.contains(where: \.isLast) ? " + head" : "")
            return layers.joined(separator: ", ") + ends
        }
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
    /// GFLOP/s that a core reaches while it computes: the step's operations over the stages' time in them.
    public var gigaflopsPerCore: Double {
        stages.reduce(0) { $0 + $1.flops } * 1e-9 / (simulation.busy.reduce(0, +) * Double(speed.coresPerRank))
    }
    /// Operations of a step over all ranks.
    public var stepFlops: Double { stages.reduce(0) { $0 + $1.flops } * Double(layout.dims.replicas) }

    /// - Throws: `ScheduleError`, which no schedule of ours raises.
    public init(_ layout: TrainingLayout, memories: [StageMemory], speed: PlanSpeed) throws {
        self.layout = layout
        self.speed = speed
        let dims = layout.dims, config = layout.config, tokens = Double(layout.settings.microBatchTokens)
        let microBatches = layout.schedule.microBatchCount
        let parts = (0..<layout.schedule.parts).map { part in
            speed.rates.seconds(
                layers: layout.cost.layers(stage: part, of: layout.partition).scaled(by: tokens),
                head: layout.cost.head(stage: part, of: layout.partition).scaled(by: tokens), cores: speed.coresPerRank)
        }
        let boundaryBytes = layout.boundaryCount * 4
        // The slowest boundary stands for all.
        let transfer = (0..<dims.stages - 1).map { stage in
            speed.seconds(bytes: Double(boundaryBytes), from: dims.rank(stage: stage, replica: 0), to: dims.rank(stage: stage + 1, replica: 0))
        }.max() ?? 0
        simulation = try ScheduleSimulation(layout.schedule, costs: parts, transfer: transfer)
        bubble = simulation.bubble

        let mean = parts.reduce(LayerCost(), +).scaled(by: 1 / Double(parts.count))
        equalStagesBubble = try ScheduleSimulation(layout.schedule, costs: Array(repeating: mean, count: parts.count)).bubble
        equalLayersEfficiency = Self.equalLayersEfficiency(layout.cost, stages: dims.stages)

        var stages: [Stage] = [], end = 0.0
        for stage in 0..<dims.stages {
            let ranges = layout.ranges(stage: stage), replicas = dims.replicas
            let gradientBytes = layout.gradientCount(stage: stage) * 4
            let reduceBytes = 2 * (replicas - 1) * gradientBytes / replicas
            let reduceSeconds = speed.seconds(
                bytes: Double(reduceBytes), from: dims.rank(stage: stage, replica: 0), to: dims.rank(stage: stage, replica: replicas - 1))
            // It starts while the last backward pass goes down the stage.
            let exposed = max(0, reduceSeconds - parts[stage].backward)
            end = max(end, simulation.ends[stage] + exposed)
            let trained = ranges.flatMap { ModelStage.trainedTensors(config: config, range: $0, training: layout.settings.training) }
            stages.append(
                Stage(
                    index: stage, ranges: ranges, weightParameters: ranges.reduce(0) { $0 + Self.weightParameters($1, config) },
                    trainedParameters: trained.reduce(0) { $0 + ($1.tiedTo == nil ? $1.shape.reduce(1, *) : 0) }, memory: memories[stage],
                    slots: simulation.peakStash[stage],
                    flops: layout.cost(stage: stage).total * tokens * Double(microBatches),
                    boundaryBytes: microBatches * boundaryBytes * ranges.reduce(0) { $0 + ($1.isLast ? 0 : 1) + ($1.isFirst ? 0 : 1) },
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

import LoRAMEngine

/// How a phase of training lies over a grid: the cut into stages, the schedule, and each stage's buffers. From shapes and settings
/// alone, the same for a run and for its plan.
public struct TrainingLayout: Sendable {
    public let config: LlamaConfig
    public let settings: TrainingSettings
    public let dims: ParallelDims
    public let cost: ModelCost
    public let groups: GradientGroups
    public let partition: Partition
    public let schedule: Schedule

    /// Actions that a schedule may have: beyond that it is no setting but a slip of the pen, and its lists alone would fill the memory.
    private static let maxActionCount = 1 << 24

    /// - Parameter replica: whose schedule; only with `reduction: fast` do replicas' differ, and the first has the most micro-batches.
    /// - Throws: `TrainingError.windowBeyondPositions`, `GradientGroupsError`, `TopologyError`, `PlanError.tooLarge`.
    public init(config: LlamaConfig, settings: TrainingSettings, dims: ParallelDims, replica: Int = 0) throws {
        guard settings.data.length <= config.maxPositionCount else {
            throw TrainingError.windowBeyondPositions(
                key: "\(settings.phase.keyPrefix)data.length", length: settings.data.length,
                positions: config.maxPositionCount)
        }
        self.config = config
        self.settings = settings
        self.dims = dims
        groups = try GradientGroups(
            globalBatch: settings.batch.global, microBatch: settings.batch.micro, requestedGroups: settings.parallel.groups,
            replicas: dims.replicas, mode: settings.parallel.reduction == .fast ? .fast : .reproducible)
        cost = Self.cost(config, settings)
        let chunks = settings.scheduleKind == .interleaved && dims.stages > 1 ? settings.parallel.chunks : 1
        partition = try cost.partition(stages: dims.stages * chunks)
        let count = groups.microBatches(replica: replica).count
        guard count <= Self.maxActionCount / 8 / partition.stages else {
            throw PlanError.tooLarge(what: "micro-batches of a step", found: Double(count), limit: Double(Self.maxActionCount / 8 / partition.stages))
        }
        schedule = Schedule.training(
            settings.scheduleKind, stages: dims.stages, microBatchCount: count,
            recomputeAhead: settings.parallel.recomputeAhead && settings.recomputation == .full,
            groupSize: groups.mode == .reproducible ? groups.microBatchesPerGroup : nil, chunks: chunks)
        // Some ten buffers of the widest dimension for each layer and slot: within this, counts of bytes do not overflow.
        let widest = config.layers.reduce(config.hiddenSize) { max($0, max($1.intermediateSize, $1.headCount * config.headDim)) }
        let bytes = 64 * Double(settings.microBatchTokens) * Double(widest) * Double(config.layerCount + 1) * Double(count)
        guard bytes < 0x1p62 else { throw PlanError.tooLarge(what: "bytes of activations", found: bytes, limit: 0x1p62) }
    }

    static func cost(_ config: LlamaConfig, _ settings: TrainingSettings) -> ModelCost {
        let training: ModelCost.Training =
            switch settings.training {
            case .dense(let frozen): .dense(head: !frozen.contains { $0.matches(WeightName.lmHead) })
            case .lora(let lora): .lora(lora)
            case .none: .lora(LoRAConfig(rank: 0, alpha: 1, targets: []))
            }
        return ModelCost(config: config, training: training, contextLength: settings.data.length, recompute: settings.recomputation == .full)
    }

    public func range(stage: Int, chunk: Int = 0) -> StageRange { partition.range(stage: schedule.part(stage: stage, chunk: chunk)) }

    /// Of each chunk of a stage.
    public func ranges(stage: Int) -> [StageRange] { (0..<schedule.chunks).map { range(stage: stage, chunk: $0) } }

    public func capacity(stage: Int, chunk: Int = 0) -> StageCapacity {
        StageCapacity(
            tokens: settings.microBatchTokens, positions: settings.data.length, slots: max(1, schedule.slotCount(stage: stage, chunk: chunk)),
            recomputation: settings.recomputation,
            recomputesAhead: schedule.actions[stage].contains { $0.kind == .recompute && $0.chunk == chunk },
            weightSlots: schedule.weightSlotCount(stage: stage))
    }

    /// Operations per token of all of a stage's chunks.
    public func cost(stage: Int) -> LayerCost {
        (0..<schedule.chunks).reduce(LayerCost()) { $0 + cost.stage(schedule.part(stage: stage, chunk: $1), of: partition) }
    }

    /// Floats of a message between stages at most.
    public var boundaryCount: Int { settings.microBatchTokens * config.hiddenSize }

    /// Everything that a rank of the stage allocates.
    ///
    /// - Parameters:
    ///   - sharesFrozen: ranks of a node that hold the stage have its frozen weights once.
    ///   - workers: compute threads of a rank.
    ///   - hasMasks: the base is non-structurally pruned.
    public func memory(
        stage: Int, weights: WeightBytes, sharesFrozen: Bool, kernels: ComputeKernels, workers: Int, process: ProcessMemory, hasMasks: Bool = false
    ) -> StageMemory {
        var sum: StageMemory?
        for (chunk, range) in ranges(stage: stage).enumerated() {
            var part = StageMemory(
                config: config, range: range, training: settings.training, capacity: capacity(stage: stage, chunk: chunk), weights: weights,
                sharesFrozen: sharesFrozen, kernels: kernels, workers: workers, process: process, usesMasks: hasMasks && settings.usesMasks,
                trainedType: settings.trainedType(kernels))
            let parameters = ParameterLayout(ModelStage.trainedTensors(config: config, range: range, training: settings.training))
            let shards = ShardPlan(parameters, of: settings.training, groups)
            part.moments = OptimizerShard.byteCount(elements: shards.largestShardCount, weights: settings.trainedType(kernels))
            part.gradients =
                GroupAccumulator.byteCount(count: parameters.count, groupCount: groups.groupsPerReplica)
                + (groups.mode == .reproducible
                    ? ReproducibleReducer.byteCount(replicas: dims.replicas, maxBucketCount: shards.maxBucketCount, cuts: shards.cuts) : 0)
            sum = sum.map { $0.adding(part) } ?? part
        }
        guard var memory = sum else { preconditionFailure("a stage has a chunk") }
        memory.messages = schedule.messageBufferCount(stage: stage) * boundaryCount * 4
        if config.tiesWordEmbeddings, settings.training.isDense, dims.stages > 1, ranges(stage: stage).contains(where: { $0.isFirst || $0.isLast }) {
            memory.messages += config.vocabularySize * config.hiddenSize * 4
        }
        return memory
    }

    /// Floats of a stage's gradient.
    public func gradientCount(stage: Int) -> Int {
        ranges(stage: stage).reduce(0) { $0 + StageMemory.gradientCount(config: config, range: $1, training: settings.training) }
    }

    /// Memory of each stage, in order.
    public func memories(
        weights: WeightBytes, sharesFrozen: Bool, kernels: ComputeKernels, workers: Int, process: ProcessMemory, hasMasks: Bool = false
    ) -> [StageMemory] {
        (0..<dims.stages).map {
            memory(
                stage: $0, weights: weights, sharesFrozen: sharesFrozen, kernels: kernels, workers: workers, process: process, hasMasks: hasMasks)
        }
    }
}

extension Schedule {
    /// Buffers for the stage's messages, each of a whole boundary.
    func messageBufferCount(stage: Int) -> Int {
        func buffers(_ kind: Action.Kind, _ count: Int) -> Int { min(count, actions[stage].lazy.filter { $0.kind == kind }.count) }
        return buffers(.receiveActivation, BoundaryBuffers.receiveCount) + buffers(.receiveGradient, BoundaryBuffers.receiveCount)
            + buffers(.sendActivation, BoundaryBuffers.sendCount) + buffers(.sendGradient, BoundaryBuffers.sendCount)
    }
}

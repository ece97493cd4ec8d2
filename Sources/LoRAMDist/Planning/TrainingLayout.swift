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
                key: settings.phase == .align ? "alignment.data.length" : "data.length", length: settings.data.length,
                positions: config.maxPositionCount)
        }
        self.config = config
        self.settings = settings
        self.dims = dims
        groups = try GradientGroups(
            globalBatch: settings.batch.global, microBatch: settings.batch.micro, requestedGroups: settings.parallel.groups,
            replicas: dims.replicas, mode: settings.parallel.reduction == .fast ? .fast : .reproducible)
        cost = Self.cost(config, settings)
        partition = try cost.partition(stages: dims.stages)
        let count = groups.microBatches(replica: replica).count
        guard count <= Self.maxActionCount / 6 / dims.stages else {
            throw PlanError.tooLarge(what: "micro-batches of a step", found: Double(count), limit: Double(Self.maxActionCount / 6 / dims.stages))
        }
        schedule = Schedule.training(
            settings.parallel.pipeline == .gpipe ? .gpipe : .oneForwardOneBackward, stages: dims.stages, microBatchCount: count,
            recomputeAhead: settings.parallel.recomputeAhead && settings.recomputation == .full)
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

    public func range(stage: Int) -> StageRange {
        StageRange(layers: partition.layers[stage], isFirst: stage == 0, isLast: stage == dims.stages - 1)
    }

    public func capacity(stage: Int) -> StageCapacity {
        StageCapacity(
            tokens: settings.microBatchTokens, positions: settings.data.length, slots: max(1, schedule.slotCount(stage: stage)),
            recomputation: settings.recomputation, recomputesAhead: schedule.actions[stage].contains { $0.kind == .recompute })
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
        let range = range(stage: stage)
        var memory = StageMemory(
            config: config, range: range, training: settings.training, capacity: capacity(stage: stage), weights: weights, sharesFrozen: sharesFrozen,
            kernels: kernels, workers: workers, process: process, usesMasks: hasMasks && settings.usesMasks)
        let count = gradientCount(stage: stage)
        memory.gradients =
            GroupAccumulator.byteCount(count: count, groupCount: groups.groupsPerReplica)
            + (groups.mode == .reproducible
                ? ReproducibleReducer.byteCount(replicas: dims.replicas, maxBucketCount: min(count, GradientExchange.defaultBucketCount)) : 0)
        memory.messages = schedule.messageBufferCount(stage: stage) * boundaryCount * 4
        if config.tiesWordEmbeddings, settings.training.isDense, dims.stages > 1, range.isFirst || range.isLast {
            memory.messages += config.vocabularySize * config.hiddenSize * 4
        }
        return memory
    }

    /// Floats of a stage's gradient.
    public func gradientCount(stage: Int) -> Int {
        StageMemory.gradientCount(config: config, range: range(stage: stage), training: settings.training)
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

import LoRAMEngine

/// One rank's part of training: its stage, its buffers, and the update that all ranks make together.
///
/// All ranks of the grid make one with equal settings. Everything that an update needs is allocated here.
public final class Trainer {
    /// What an update did, the same on all ranks.
    public struct Update: Sendable {
        public var number: Int
        /// Mean over the target tokens; nil where there were none.
        public var loss: Double?
        public var gradientNorm: Double?
        public var learningRate: Double
        /// Tokens that went through the model, over all replicas.
        public var tokenCount: Int
        /// The weights were changed.
        public var isApplied: Bool
        /// This rank's waiting for others: for messages of its neighbours, and for all at the end of the step.
        public var waitSeconds: Double
    }

    public let settings: TrainingSettings
    public let grid: ProcessGrid
    public let seat: ProcessGrid.Seat
    public let stage: ModelStage
    public let groups: GradientGroups
    public let data: TrainingData
    public let partition: Partition
    /// AdamW's moments, laid out as the stage's parameters.
    public let firstMoments: UnsafeMutablePointer<Float>
    public let secondMoments: UnsafeMutablePointer<Float>
    /// Updates that changed the weights so far.
    public var optimizerStepCount = 0

    private let momentArena: Arena
    private let exchange: GradientExchange
    private let executor: ScheduleExecutor
    private let trainingStage: TrainingStage
    private let reduction: StepReduction
    private let norm: GradientNorm
    let marker: ProgressMarker
    private let tiedRequests = (Request(), Request())
    private let tiedBuffer: FloatBuffer?
    /// Of this update, outside of the executor.
    private var waitNanoseconds: UInt64 = 0

    /// What a rank makes without any other, and what may fail on one rank alone.
    private struct Parts {
        let groups: GradientGroups
        let partition: Partition
        let executor: ScheduleExecutor
        let stage: ModelStage
        let momentArena: Arena
        let moments: [UnsafeMutablePointer<Float>]

        init(
            _ settings: TrainingSettings, _ source: any TensorSource, _ dims: ParallelDims, _ seat: ProcessGrid.Seat, _ pool: ThreadPool,
            _ kernels: ComputeKernels, _ storage: WeightStorage, _ masks: PruningMasks?, _ marker: ProgressMarker
        ) throws {
            let position = seat.position
            let plan = try TrainingLayout(config: source.config, settings: settings, dims: dims, replica: position.replica)
            groups = plan.groups
            partition = plan.partition
            executor = try ScheduleExecutor(
                schedule: plan.schedule, pipeline: seat.pipeline, maxBoundaryCount: plan.boundaryCount, marker: marker)
            stage = try ModelStage(
                source: source, range: plan.range(stage: position.stage), training: settings.training, capacity: plan.capacity(stage: position.stage),
                pool: pool, kernels: kernels, storage: storage, seed: settings.seed, masks: masks)
            var layout = ArenaLayout()
            let slices = [layout.reserve(stage.layout.count), layout.reserve(stage.layout.count)]
            let arena = try Arena(layout)
            momentArena = arena
            moments = slices.map { arena.pointer($0) }
        }
    }

    /// All ranks of the grid call this; all throw or none.
    ///
    /// - Parameter masks: what pruned weights, or the adapter's products, are multiplied by; nil for neither.
    /// - Throws: errors of weights, data, topology and memory.
    public init(
        settings: TrainingSettings, source: any TensorSource, data: TrainingData, grid: ProcessGrid, seat: ProcessGrid.Seat, pool: ThreadPool,
        kernels: ComputeKernels, storage: WeightStorage, masks: PruningMasks? = nil, marker: ProgressMarker
    ) throws {
        let dims = grid.dims, position = seat.position
        let parts = try seat.training.together { try Parts(settings, source, dims, seat, pool, kernels, storage, masks, marker) }
        self.settings = settings
        self.grid = grid
        self.seat = seat
        self.data = data
        self.marker = marker
        groups = parts.groups
        partition = parts.partition
        executor = parts.executor
        stage = parts.stage
        momentArena = parts.momentArena
        (firstMoments, secondMoments) = (parts.moments[0], parts.moments[1])
        exchange = GradientExchange(count: stage.layout.count, groups: groups, replicas: seat.replicas, marker: marker)
        trainingStage = TrainingStage(stage: stage, exchange: exchange, groups: groups, replica: position.replica)
        reduction = StepReduction(groups: groups)
        norm = try GradientNorm(
            tensors: stage.layout.tensors.filter { $0.tiedTo == nil }.map { GradientNorm.Tensor(name: $0.name, offset: $0.offset, count: $0.count) },
            pipeline: seat.pipeline)
        let spansStages = dims.stages > 1 && (stage.range.isFirst || stage.range.isLast)
        tiedBuffer = spansStages && Self.tiedTensor(stage) != nil ? FloatBuffer(count: Self.tiedTensor(stage)!.count) : nil

        let executor = executor, exchange = exchange
        executor.onIdle = { try exchange.progress() }
        pool.setPoll(
            { Unmanaged<ScheduleExecutor>.fromOpaque($0!).takeUnretainedValue().pollProgress() },
            context: Unmanaged.passUnretained(executor).toOpaque())
    }

    /// Detaches the pool from this trainer: it may outlive it.
    deinit { stage.threadPool.setPoll(nil, context: nil) }

    /// All ranks call this with the same number, counted from 1.
    ///
    /// - Throws: `TrainingError.nonFinite` on all ranks, before the weights are touched; `DatasetError`, `MPIError`.
    public func update(_ number: Int) throws -> Update {
        exchange.begin()
        reduction.begin()
        waitNanoseconds = 0
        let own = groups.microBatches(replica: seat.position.replica)
        trainingStage.begin(
            try own.map {
                try data.microBatch(
                    update: number, microBatchIndex: $0, microBatchSize: settings.batch.micro, globalBatchSize: settings.batch.global)
            })
        let timing = try executor.run(trainingStage)
        try waiting { try exchange.finish() }
        stage.gradients = exchange.total
        try combineTiedGradients()
        stage.maskGradients()
        if stage.range.isLast {
            for (index, microBatch) in own.enumerated() {
                reduction.record(microBatch: microBatch, lossSum: trainingStage.losses[index], targetTokens: trainingStage.targetCount(index))
            }
        }
        let (lossSum, targetCount) = try waiting { try reduction.reduce(over: seat.training) }
        let tokenCount = Int(try waiting { try seat.training.allReduce(stage.range.isLast ? Int64(trainingStage.tokenCount) : 0, .sum) })
        let rate = settings.schedule.rate(update: number)
        var result = Update(
            number: number, loss: nil, gradientNorm: nil, learningRate: rate, tokenCount: tokenCount, isApplied: false,
            waitSeconds: timing.wait / .seconds(1) + Double(waitNanoseconds) * 1e-9)
        guard targetCount > 0 else { return result }
        let gradientNorm = try squaredNorm().squareRoot() / Double(targetCount)
        result.waitSeconds = timing.wait / .seconds(1) + Double(waitNanoseconds) * 1e-9
        result.loss = lossSum / Double(targetCount)
        result.gradientNorm = gradientNorm
        for (quantity, value) in [("loss", lossSum), ("gradient norm", gradientNorm)] where !value.isFinite {
            guard settings.onNonfinite == .skip else { throw TrainingError.nonFinite(step: number, quantity: quantity, value: "\(value)") }
            return result
        }
        marker.mark("updating the weights")
        optimizerStepCount += 1
        let clipping = settings.clipNorm.map { clippingFactor(norm: gradientNorm, maximum: $0) } ?? 1
        settings.optimizer.update(
            stage.threadPool, parameters: stage.parameters, firstMoments: firstMoments, secondMoments: secondMoments, gradients: exchange.total,
            count: stage.layout.count, step: optimizerStepCount, learningRate: rate, gradientScale: Float(clipping / Double(targetCount)))
        result.isApplied = true
        return result
    }

    private func squaredNorm() throws -> Double {
        norm.begin()
        let total = UnsafePointer(exchange.total)
        stage.threadPool.run(norm.localBlockCount) { index, _ in norm.sumBlocks(index..<index + 1, of: total) }
        return try waiting { try norm.squaredNorm() }
    }

    private func waiting<Result>(_ body: () throws -> Result) rethrows -> Result {
        let start = monotonicNanoseconds()
        defer { waitNanoseconds += monotonicNanoseconds() - start }
        return try body()
    }

    // MARK: - Tied embeddings

    /// The trained matrix of which the pipeline's two ends hold a copy each.
    private static func tiedTensor(_ stage: ModelStage) -> ParameterLayout.Tensor? {
        guard stage.config.tiesWordEmbeddings else { return nil }
        return stage.layout.tensors.first { $0.tiedTo != nil } ?? stage.layout.tensor(named: WeightName.embedding)
    }

    /// Gives both copies of a tied matrix the sum of its two gradients. The addition is the same wherever the copies are.
    private func combineTiedGradients() throws {
        guard let tiedBuffer, let tensor = Self.tiedTensor(stage) else { return stage.combineTiedGradients() }
        let other = stage.range.isFirst ? grid.dims.stages - 1 : 0
        let gradient = exchange.total + tensor.offset
        try seat.pipeline.receive(into: tiedBuffer.base, count: tensor.count, from: other, tag: 4, request: tiedRequests.0)
        try seat.pipeline.send(UnsafePointer(gradient), count: tensor.count, to: other, tag: 4, request: tiedRequests.1)
        try waiting {
            try tiedRequests.0.wait()
            try tiedRequests.1.wait()
        }
        addElements(UnsafePointer(tiedBuffer.base), to: gradient, count: tensor.count)
    }
}

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
    /// What this rank trains of the model, in the order of layers.
    let chunks: [TrainedChunk]
    public let groups: GradientGroups
    public let data: TrainingData
    public let partition: Partition
    /// Updates that changed the weights so far.
    public var optimizerStepCount = 0

    private let executor: ScheduleExecutor
    /// One a chunk.
    private let trainingStages: [TrainingStage]
    private let reduction: StepReduction
    private let norm: GradientNorm
    let marker: ProgressMarker
    private let tiedRequests = (Request(), Request())
    private let tiedBuffer: FloatBuffer?
    /// Of this update, outside of the executor.
    private var waitNanoseconds: UInt64 = 0

    public var stages: [ModelStage] { chunks.map(\.stage) }
    private var pool: ThreadPool { chunks[0].stage.threadPool }
    private var holdsHead: Bool { chunks.last!.stage.range.isLast }

    /// What a rank makes without any other, and what may fail on one rank alone.
    private struct Parts {
        let groups: GradientGroups
        let partition: Partition
        let executor: ScheduleExecutor
        let chunks: [TrainedChunk]

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
            var chunks: [TrainedChunk] = []
            for number in 0..<plan.schedule.chunks {
                let stage = try ModelStage(
                    source: source, range: plan.range(stage: position.stage, chunk: number), training: settings.training,
                    capacity: plan.capacity(stage: position.stage, chunk: number), pool: pool, kernels: kernels, storage: storage,
                    trainedType: settings.trainedType(kernels), seed: settings.seed, masks: masks)
                chunks.append(try TrainedChunk(stage, source: source, groups: groups, replicas: seat.replicas, number: number, marker: marker))
            }
            self.chunks = chunks
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
        chunks = parts.chunks
        let chunks = chunks
        let groups = groups
        trainingStages = chunks.map { TrainingStage(chunk: $0, groups: groups, replica: position.replica) }
        reduction = StepReduction(groups: groups)
        let isSharded = settings.training.isDense
        norm = try GradientNorm(
            tensors: chunks.enumerated().flatMap { index, chunk in
                chunk.stage.layout.tensors.filter { $0.tiedTo == nil }
                    .map { GradientNorm.Tensor(name: $0.name, offset: $0.offset, count: $0.count, buffer: index) }
            },
            pipeline: seat.pipeline, parts: isSharded ? chunks.map(\.optimizer.shard.runs) : nil, summing: isSharded ? seat.training : nil)
        let end = dims.stages > 1 ? chunks.first { $0.stage.range.isFirst || $0.stage.range.isLast } : nil
        tiedBuffer = end.flatMap { end in end.tiedTensor.map { FloatBuffer(count: end.ownElements(of: $0).map(\.count).max() ?? 0) } }

        let executor = executor
        executor.onIdle = { for chunk in chunks { try chunk.exchange.progress() } }
        pool.setPoll(
            { Unmanaged<ScheduleExecutor>.fromOpaque($0!).takeUnretainedValue().pollProgress() },
            context: Unmanaged.passUnretained(executor).toOpaque())
    }

    /// Detaches the pool from this trainer: it may outlive it.
    deinit { pool.setPoll(nil, context: nil) }

    /// All ranks call this with the same number, counted from 1.
    ///
    /// - Throws: `TrainingError.nonFinite` on the first rank, `MPIError.failedElsewhere` on the others, before the weights are touched;
    ///   `DatasetError`, `MPIError`.
    public func update(_ number: Int) throws -> Update {
        for chunk in chunks { chunk.exchange.begin() }
        reduction.begin()
        waitNanoseconds = 0
        let own = groups.microBatches(replica: seat.position.replica)
        let batches = try own.map {
            try data.microBatch(update: number, microBatchIndex: $0, microBatchSize: settings.batch.micro, globalBatchSize: settings.batch.global)
        }
        for trainingStage in trainingStages { trainingStage.begin(batches) }
        let timing = try executor.run(trainingStages), trainingStage = trainingStages.last!
        for chunk in chunks {
            try waiting { try chunk.exchange.finish() }
            chunk.stage.gradients = chunk.exchange.total
        }
        try combineTiedGradients()
        for chunk in chunks { chunk.stage.maskGradients() }
        if holdsHead {
            for (index, microBatch) in own.enumerated() {
                reduction.record(microBatch: microBatch, lossSum: trainingStage.losses[index], targetTokens: trainingStage.targetCount(index))
            }
        }
        let (lossSum, targetCount) = try waiting { try reduction.reduce(over: seat.training) }
        let tokenCount = Int(try waiting { try seat.training.allReduce(holdsHead ? Int64(trainingStage.tokenCount) : 0, .sum) })
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
            guard settings.onNonfinite != .skip else { return result }
            // All ranks have the same numbers: one of them says so.
            guard seat.training.rank == 0 else { throw MPIError.failedElsewhere(rank: seat.training.worldRanks[0]) }
            throw TrainingError.nonFinite(step: number, quantity: quantity, value: "\(value)")
        }
        marker.mark("updating the weights")
        optimizerStepCount += 1
        let clipping = settings.clipNorm.map { clippingFactor(norm: gradientNorm, maximum: $0) } ?? 1
        for chunk in chunks {
            try chunk.optimizer.update(
                settings.optimizer, pool: pool, gradients: chunk.exchange.total, step: optimizerStepCount, learningRate: rate,
                gradientScale: Float(clipping / Double(targetCount)))
        }
        result.isApplied = true
        return result
    }

    private func squaredNorm() throws -> Double {
        norm.begin()
        let totals = chunks.map { UnsafePointer($0.exchange.total) }
        pool.run(norm.localBlockCount) { index, _ in norm.sumBlocks(index..<index + 1, of: totals) }
        return try waiting { try norm.squaredNorm() }
    }

    private func waiting<Result>(_ body: () throws -> Result) rethrows -> Result {
        let start = monotonicNanoseconds()
        defer { waitNanoseconds += monotonicNanoseconds() - start }
        return try body()
    }

    // MARK: - Tied embeddings

    /// Gives both copies of a tied matrix the sum of its two gradients, in the elements that this rank's optimizer has. The addition is
    /// the same wherever the copies are.
    private func combineTiedGradients() throws {
        guard grid.dims.stages > 1 else {
            let chunk = chunks[0]
            return chunk.stage.combineTiedGradients(chunk.tiedTensor.map(chunk.ownElements))
        }
        guard let tiedBuffer, let chunk = chunks.first(where: { $0.stage.range.isFirst || $0.stage.range.isLast }), let tensor = chunk.tiedTensor
        else { return }
        let other = chunk.stage.range.isFirst ? grid.dims.stages - 1 : 0
        for part in chunk.ownElements(of: tensor) {
            let gradient = chunk.exchange.total + tensor.offset + part.lowerBound
            try seat.pipeline.receive(into: tiedBuffer.base, count: part.count, from: other, tag: 4, request: tiedRequests.0)
            try seat.pipeline.send(UnsafePointer(gradient), count: part.count, to: other, tag: 4, request: tiedRequests.1)
            try waiting {
                try tiedRequests.0.wait()
                try tiedRequests.1.wait()
            }
            addElements(UnsafePointer(tiedBuffer.base), to: gradient, count: part.count)
        }
    }
}

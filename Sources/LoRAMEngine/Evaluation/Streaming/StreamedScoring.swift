/// Scores micro-batches with a model that need not fit into memory: each of its layers is read once for all of them.
///
/// In memory are the layer that computes, the next one, which a thread reads meanwhile, and the activations of all tokens at one layer
/// boundary; beyond a limit these are in a file. Plain files are mapped, a layer's pages given back when it is done; packed ones are
/// decoded. Every loss has the bits that a `ModelStage` of the whole model gives the same micro-batch. Only the thread that made the pool may
/// call it.
public final class StreamedScoring {
    public struct Settings: Sendable {
        /// Of the largest micro-batch.
        public var capacity: StageCapacity
        /// Bytes that this process may use in all; nil: everything but weights stays in memory.
        public var memoryByteCount: Int?
        /// Where activations go that do not fit.
        public var spillDirectory: String

        public init(capacity: StageCapacity, memoryByteCount: Int? = nil, spillDirectory: String = FileSystem.spillDirectory) {
            self.capacity = capacity
            self.memoryByteCount = memoryByteCount
            self.spillDirectory = spillDirectory
        }
    }

    private let model: ModelReference
    private let adapter: Adapter?
    private let masks: PruningMasks?
    private let settings: Settings
    private let pool: ThreadPool
    private let kernels: ComputeKernels
    private let storage: WeightStorage

    /// - Parameters:
    ///   - adapter: added to the model's products, unmerged.
    ///   - masks: multiply the adapter's products.
    ///   - readsWhole: read weights into memory of this process instead of mapping files: for file systems whose page cache is not to be relied on.
    public init(
        model: ModelReference, adapter: Adapter? = nil, masks: PruningMasks? = nil, settings: Settings, pool: ThreadPool, kernels: ComputeKernels,
        readsWhole: Bool = false
    ) {
        self.model = model
        self.adapter = adapter
        self.masks = masks
        self.settings = settings
        self.pool = pool
        self.kernels = kernels
        storage = WeightStorage(place: readsWhole ? .resident : .mapped)
    }

    /// What scoring so many tokens takes.
    public func memory(tokens: Int) -> StreamedMemory {
        StreamedMemory(
            config: model.config, adapter: adapter?.lora, hasMaskedProducts: masks != nil && adapter != nil, capacity: settings.capacity,
            weights: model.weightBytes, kernels: kernels, workers: pool.threadCount, tokens: tokens)
    }

    /// -log P of every labelled token of each micro-batch, in their order.
    ///
    /// - Parameters:
    ///   - moved: called whenever something moves, by any thread: a watchdog's food.
    ///   - finished: called behind each part of the model with the parts done, of how many.
    /// - Throws: `EvaluationError.exceedsMemory`; errors of the model's and the adapter's files; `FileError` where activations cannot be
    ///   spilled; `ModelError` for a micro-batch beyond the capacity.
    public func tokenLosses(
        _ batches: [MicroBatch], moved: @escaping @Sendable () -> Void = {}, finished: (_ parts: Int, _ of: Int) throws -> Void = { _, _ in }
    ) throws -> [[Double]] {
        guard !batches.isEmpty else { return [] }
        let hidden = model.config.hiddenSize, parts = StreamedParts.ranges(model.config)
        let kept = try memory(tokens: batches.reduce(0) { $0 + $1.tokenCount }).keptActivations(limit: settings.memoryByteCount)
        let streams = try BoundaryStore(
            counts: batches.map { $0.tokenCount * hidden }, memoryByteCount: kept, directory: settings.spillDirectory)
        let arena = try workArena(parts)
        var losses: [[Double]] = Array(repeating: [], count: batches.count)
        var reader = read(parts[0], moved)
        for (index, range) in parts.enumerated() {
            let weights = try reader.wait()
            if index + 1 < parts.count { reader = read(parts[index + 1], moved) }
            let stage = try ModelStage(
                config: model.config, weights: weights, range: range, training: training, capacity: settings.capacity, pool: pool, kernels: kernels,
                masks: masks, arena: arena)
            for (place, batch) in batches.enumerated() {
                try stage.load(batch, slot: 0)
                let stream = try streams.get(place, empty: range.isFirst)
                stage.forward(slot: 0, input: range.isFirst ? nil : UnsafePointer(stream), output: range.isLast ? nil : stream, evaluating: true)
                if range.isLast { losses[place] = stage.evaluateTokenLosses(slot: 0) } else { try streams.put(place) }
                moved()
            }
            model.release(range)
            stage.masks?.release()
            try finished(index + 1, parts.count)
        }
        return losses
    }

    private var training: Training { .none(adapter: adapter?.lora) }

    private func read(_ range: StageRange, _ moved: @escaping @Sendable () -> Void) -> PartReader {
        let model = model, training = training, storage = storage, adapter = adapter
        return PartReader {
            model.readAhead(range)
            // A pool belongs to the thread that made it.
            let pool = try ThreadPool(threadCount: 1), poll = Poll(moved)
            pool.setPoll({ Unmanaged<Poll>.fromOpaque($0!).takeUnretainedValue().body() }, context: Unmanaged.passUnretained(poll).toOpaque())
            defer { withExtendedLifetime(poll) {} }
            let weights = try StageWeights(
                source: model.source, range: range, training: training, trainedType: .f32, storage: storage, pool: pool)
            if let adapter { try weights.fill(from: adapter) }
            // What was copied is not needed where it came from.
            if !storage.isMapped { model.release(range) }
            return weights
        }
    }

    /// One set of buffers, large enough for each part.
    private func workArena(_ parts: [StageRange]) throws -> Arena {
        let layouts = parts.map {
            StageBuffers(
                config: model.config, range: $0, training: training, capacity: settings.capacity, kernels: kernels, workers: pool.threadCount,
                hasMaskedProducts: masks != nil && training.lora != nil
            ).arena
        }
        return try Arena(layouts.max { $0.byteCount < $1.byteCount }!)
    }
}

private final class Poll {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

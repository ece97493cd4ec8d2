/// Memory of a process that scores by streaming, counted from shapes. It does not depend on the number of layers.
public struct StreamedMemory: Sendable, Equatable {
    /// Of the two neighbouring parts that take the most: weights as stored, with their share of the adapter.
    public var weights: Int
    /// Buffers of one part's computation.
    public var working: Int
    /// The residual stream of all tokens, in f32; beyond a limit it goes to a file.
    public var activations: Int
    /// Token ids, labels and losses of all tokens.
    public var lists: Int
    /// The program itself.
    public var process: Int
    /// Bytes of each part as stored: embedding, layers, final norm with the head.
    public let parts: [Int]

    /// What cannot be spilled.
    public var least: Int { weights + working + lists + process }
    public var total: Int { least + activations }

    /// - Parameters:
    ///   - capacity: of a micro-batch.
    ///   - weights: how the model is stored.
    ///   - workers: compute threads.
    ///   - tokens: to be scored, read ones among them.
    public init(
        config: LlamaConfig, adapter: LoRAConfig? = nil, hasMaskedProducts: Bool = false, capacity: StageCapacity, weights: WeightBytes,
        kernels: ComputeKernels, workers: Int, tokens: Int
    ) {
        let training = Training.none(adapter: adapter)
        var held: [Int] = [], stored: [Int] = [], working = 0
        for range in StreamedParts.ranges(config) {
            let part = StageMemory(
                config: config, range: range, training: training, capacity: capacity, weights: weights, sharesFrozen: false, kernels: kernels,
                workers: workers, process: .typical)
            held.append(part.frozen + part.parameters)
            stored.append(part.frozen)
            let buffers = StageBuffers(
                config: config, range: range, training: training, capacity: capacity, kernels: kernels, workers: workers,
                hasMaskedProducts: hasMaskedProducts)
            working = max(working, buffers.arena.byteCount)
        }
        self.weights = zip(held, held.dropFirst()).map(+).max() ?? 0
        self.working = working + capacity.positions * config.headDim * 4 + capacity.tokens * config.hiddenSize * 4
        activations = tokens * config.hiddenSize * 4
        lists = tokens * (MemoryLayout<Int32>.size * 2 + MemoryLayout<Double>.size * 2)
        process = ProcessMemory.typical.program
        parts = stored
    }

    /// Bytes of activations that stay in memory where a process may use `limit` bytes; nil: no limit.
    ///
    /// - Throws: `EvaluationError.exceedsMemory` where not even two parts fit.
    public func keptActivations(limit: Int?) throws(EvaluationError) -> Int {
        guard let limit else { return activations }
        guard least <= limit else { throw .exceedsMemory(needed: least, limit: limit) }
        return min(activations, limit - least)
    }
}

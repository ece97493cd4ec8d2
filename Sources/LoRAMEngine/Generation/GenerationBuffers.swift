/// Every buffer of a stage's generation, counted and placed before any of it exists.
///
/// Legend: N rows that go through the stage together, D hidden size.
struct GenerationBuffers {
    let cache: KeyValueCache.Layout
    /// [N, D] each: a layer's input and output in turn.
    let streams: [ArenaLayout.Slice]
    let products: LayerActivations.Products
    let derived: LayerActivations.Derived
    let tokenIDs, slots, positions, rowKeys: ArenaLayout.Slice
    let head: OutputHead.Buffers.Layout?
    let workerScratch: ArenaLayout.Slice
    let workerScratchCount: Int
    let workspace: ArenaLayout.Slice
    let masked: Linear.MaskedScratch.Layout?
    let arena: ArenaLayout

    init(
        config: LlamaConfig, range: StageRange, training: Training, capacity: GenerationCapacity, kernels: ComputeKernels, workers: Int,
        hasMaskedProducts: Bool = false
    ) {
        let N = GenerationStage.promptChunk, rank = training.lora?.rank ?? 0
        let geometries = range.layers.map { config.layers[$0] }, widest = LayerGeometry.widest(geometries)
        var work = ArenaLayout()
        cache = KeyValueCache.Layout(&work, geometries, config: config, capacity: capacity, compute: kernels.type)
        streams = (0..<2).map { _ in work.reserve(N * config.hiddenSize) }
        products = LayerActivations.Products(&work, widest, config: config, tokens: N, rank: rank)
        derived = LayerActivations.Derived(&work, widest, config: config, tokens: N)
        tokenIDs = work.reserve(N, of: Int32.self)
        slots = work.reserve(N, of: Int32.self)
        positions = work.reserve(N, of: Int32.self)
        rowKeys = work.reserve(N, of: UInt64.self)
        head = range.isLast ? OutputHead.Buffers.Layout(&work, config: config, tokens: GenerationStage.rowsTogether, rank: rank) : nil
        workerScratchCount = CachedAttention.scratchCount(kernels, headDim: config.headDim, positions: capacity.positions, geometries: geometries)
        workerScratch = work.reserve(workers * workerScratchCount)
        let shapes = range.layers.flatMap { layer in LinearSite.inLayer.map { $0.shape(in: config, layer: layer) } }
        masked = hasMaskedProducts ? .init(&work, inputs: shapes.map(\.in).max() ?? 1, tokens: N) : nil
        workspace = work.reserve(
            max(
                StageBuffers.productByteCount(kernels, config: config, range: range, training: training, tokens: N, workers: workers),
                hasMaskedProducts ? Linear.maskedWorkspaceByteCount(kernels, shapes, tokens: N, workers: workers) : 0), of: UInt8.self)
        arena = work
    }
}

/// Every buffer of a stage's steps, counted and placed before any of it exists: what `ModelStage` allocates and `plan` foretells.
///
/// Legend: N tokens of a micro-batch, D hidden size.
struct StageBuffers {
    let batches: [BatchState.Layout]
    let activations: ActivationStore.Layout
    let deferrals: WeightDeferral.Layout
    let backward: BackwardScratch.Layout?
    let gradientStream: ArenaLayout.Slice?
    let head: OutputHead.Buffers.Layout?
    /// Of all workers; floats of each.
    let workerScratch: ArenaLayout.Slice
    let workerScratchCount: Int
    let products: ArenaLayout.Slice
    /// Of low-rank products that are multiplied by masks.
    let masked: Linear.MaskedScratch.Layout?
    let arena: ArenaLayout
    /// Of the arena: what lies between the forward and the backward pass of a micro-batch.
    let activationByteCount: Int

    init(
        config: LlamaConfig, range: StageRange, training: Training, capacity: StageCapacity, kernels: ComputeKernels, workers: Int,
        hasMaskedProducts: Bool = false
    ) {
        let rank = training.lora?.rank ?? 0, N = capacity.tokens, D = config.hiddenSize
        let geometries = range.layers.map { config.layers[$0] }
        let forwardOnly = !training.isTraining
        var work = ArenaLayout()
        batches = (0..<capacity.slots).map { _ in BatchState.Layout(&work, capacity: N) }
        activations = ActivationStore.Layout(
            &work, geometries, config: config, capacity: capacity, compute: kernels.type, rank: rank, forwardOnly: forwardOnly)
        deferrals = WeightDeferral.Layout(&work, geometries, config: config, capacity: capacity, compute: kernels.type)
        activationByteCount = work.byteCount
        backward = forwardOnly ? nil : BackwardScratch.Layout(&work, geometries, config: config, tokens: N, rank: rank)
        gradientStream = forwardOnly ? nil : work.reserve(N * D)
        head = range.isLast ? OutputHead.Buffers.Layout(&work, config: config, tokens: N, rank: rank) : nil
        workerScratchCount = (Attention.scratchCount(kernels, headDim: config.headDim) + 15) / 16 * 16
        workerScratch = work.reserve(workers * workerScratchCount)
        let shapes = range.layers.flatMap { layer in LinearSite.inLayer.map { $0.shape(in: config, layer: layer) } }
        masked = hasMaskedProducts ? .init(&work, inputs: shapes.map(\.in).max() ?? 1, tokens: N) : nil
        products = work.reserve(
            max(
                Self.productByteCount(kernels, config: config, range: range, training: training, tokens: N, workers: workers),
                hasMaskedProducts ? Linear.maskedWorkspaceByteCount(kernels, shapes, tokens: N, workers: workers) : 0), of: UInt8.self)
        arena = work
    }

    /// Bytes of scratch that the largest product of the stage needs.
    static func productByteCount(
        _ kernels: ComputeKernels, config: LlamaConfig, range: StageRange, training: Training, tokens: Int, workers: Int
    ) -> Int {
        let rank = training.lora?.rank ?? 0
        func bytes(_ site: LinearSite, layer: Int, rows: Int) -> Int {
            let shape = site.shape(in: config, layer: layer)
            return LinearProducts.workspaceByteCount(
                kernels, rows: rows, outputs: shape.out, inputs: shape.in, rank: rank, trainsWeight: training.isDense, workers: workers)
        }
        var shapes: Set<LayerGeometry> = []
        var largest = 0
        for layer in range.layers where shapes.insert(config.layers[layer]).inserted {
            largest = max(largest, LinearSite.inLayer.map { bytes($0, layer: layer, rows: tokens) }.max() ?? 0)
        }
        let chunk = min(tokens, OutputHead.chunkRows(vocabularySize: config.vocabularySize))
        return range.isLast ? max(largest, bytes(.lmHead, layer: 0, rows: chunk)) : largest
    }
}

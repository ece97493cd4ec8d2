internal import CLoRAMKernels

/// A contiguous range of a Llama's layers with its weights, its trained tensors and all memory that a step needs.
///
/// This is the whole of what a rank holds of a model. One process holding all layers is the special case of one stage.
/// Everything is allocated here, once. Only the thread that made the pool may call it.
public final class ModelStage {
    public let config: LlamaConfig
    public let range: StageRange
    public let training: Training
    public let capacity: StageCapacity
    /// Trained (or adapter) tensors of this stage.
    public let layout: ParameterLayout
    /// Their values.
    public var trainedWeights: TrainedWeights { weights.weights }
    /// Their values, laid out as `layout`, where they are held in f32.
    public var parameters: UnsafeMutablePointer<Float> { weights.weights.floats }
    /// Where the next backward adds gradients, laid out as `layout`. Set before the first backward.
    public var gradients: UnsafeMutablePointer<Float>? {
        didSet { if let gradients { step.gradients = gradients } }
    }
    /// Bytes of frozen weights, and of everything else (parameters, activations, scratch).
    public let frozenByteCount: Int
    public let workingByteCount: Int

    /// Of a non-structurally pruned model, where they take part.
    let masks: StageMasks?
    private let pool: ThreadPool
    let weights: StageWeights
    private let workArena: Arena
    private(set) var step: StepContext
    let embedding_VD: WeightMatrix?
    private let embeddingGradientOffset: Int?
    let layers: [DecoderLayer]
    let head: OutputHead?
    private let batches: [BatchState]
    private let store: ActivationStore
    private let deferrals: [WeightDeferral]
    private let scratch: BackwardScratch?
    private let gradientStream: UnsafeMutablePointer<Float>?
    private var recomputedSlot: Int?
    /// [layer]: offset of the first trained tensor of that layer or of anything behind it; the last entry is the head's.
    private let firstOffsets: [Int]
    private let dropout: DropoutRate?

    /// Loads the stage's weights from `source`, tensor by tensor.
    ///
    /// LoRA factors start at zero: `initialize` or `loadParameters` gives them values. Dense parameters start as the source's.
    /// - Parameters:
    ///   - trainedType: in which dense parameters are held: f32, or bf16 where an optimizer has masters of them.
    ///   - masks: multiply the adapter's products (`StageMasks`); on a stage whose weights are trained, see `maskGradients`.
    /// - Throws: what `source` throws for missing, misshapen or non-finite tensors; `MemoryError`.
    public convenience init(
        source: any TensorSource, range: StageRange, training: Training, capacity: StageCapacity, pool: ThreadPool, kernels: ComputeKernels,
        storage: WeightStorage = WeightStorage(), trainedType: DType = .f32, seed: UInt64 = 0, masks: PruningMasks? = nil
    ) throws {
        let weights = try StageWeights(
            source: source, range: range, training: training, trainedType: trainedType, storage: storage, pool: pool)
        try self.init(
            config: source.config, weights: weights, range: range, training: training, capacity: capacity, pool: pool, kernels: kernels, seed: seed,
            masks: masks)
    }

    /// A stage of weights that have been loaded.
    /// - Parameter arena: memory for its buffers that other stages use at other times, as large as `StageBuffers` says; nil: of its own.
    init(
        config: LlamaConfig, weights: StageWeights, range: StageRange, training: Training, capacity: StageCapacity, pool: ThreadPool,
        kernels: ComputeKernels, seed: UInt64 = 0, masks: PruningMasks? = nil, arena sharedArena: Arena? = nil
    ) throws {
        self.config = config
        self.range = range
        self.training = training
        self.capacity = capacity
        self.pool = pool
        let stageMasks = try masks.map { try StageMasks($0, range: range) }
        self.masks = stageMasks
        self.weights = weights
        layout = weights.layout
        frozenByteCount = weights.frozen.byteCount

        let buffers = StageBuffers(
            config: config, range: range, training: training, capacity: capacity, kernels: kernels, workers: pool.threadCount,
            hasMaskedProducts: masks != nil && training.lora != nil)
        let arena = try sharedArena ?? Arena(buffers.arena)
        precondition(arena.byteCount >= buffers.arena.byteCount, "buffers of a smaller stage")
        workArena = arena
        workingByteCount = buffers.arena.byteCount + weights.weights.byteCount

        batches = buffers.batches.map { BatchState(arena, $0, capacity: capacity.tokens) }
        store = ActivationStore(
            buffers.activations, arena, range.layers.map { config.layers[$0] }, config: config, recomputation: capacity.recomputation)
        deferrals = buffers.deferrals.bind(arena)
        scratch = buffers.backward?.bind(arena)
        gradientStream = buffers.gradientStream.map { arena.pointer($0) }
        dropout = training.isTraining ? DropoutRate(probability: training.lora?.dropout ?? 0) : nil
        let products = LinearProducts(
            kernels: kernels, pool: pool, workspace: UnsafeMutableRawPointer(arena.pointer(buffers.products, as: UInt8.self)),
            workspaceByteCount: buffers.products.byteCount)
        step = StepContext(
            pool: pool, products: products, scratchBase: arena.pointer(buffers.workerScratch), scratchCount: buffers.workerScratchCount,
            dropout: dropout, gradients: arena.pointer(buffers.workerScratch), masked: buffers.masked?.bind(arena))

        let rotary = try RotaryTable(config.rope, headDim: config.headDim, positionCount: capacity.positions)
        let epsilon = Float(config.rmsNormEpsilon)
        embedding_VD = range.isFirst ? weights.matrix(WeightName.embedding) : nil
        embeddingGradientOffset = range.isFirst ? weights.gradientOffset(WeightName.embedding) : nil
        layers = range.layers.map { index in
            func linear(_ site: LinearSite) -> Linear { weights.linear(site, layer: index, config: config, training: training, seed: seed, masks: stageMasks) }
            let geometry = config.layers[index]
            return DecoderLayer(
                geometry: geometry, hiddenSize: config.hiddenSize, epsilon: epsilon, gain1_D: weights.vector(WeightName.inputNorm(layer: index)),
                gain2_D: weights.vector(WeightName.postAttentionNorm(layer: index)),
                gain1GradientOffset: weights.gradientOffset(WeightName.inputNorm(layer: index)),
                gain2GradientOffset: weights.gradientOffset(WeightName.postAttentionNorm(layer: index)), q: linear(.q), k: linear(.k), v: linear(.v),
                o: linear(.o), gate: linear(.gate), up: linear(.up), down: linear(.down),
                attention: Attention(headCount: geometry.headCount, keyValueHeadCount: geometry.keyValueHeadCount, headDim: config.headDim),
                rotary: rotary)
        }
        firstOffsets = weights.firstOffsets(range)
        head = buffers.head.map {
            OutputHead(
                hiddenSize: config.hiddenSize, vocabularySize: config.vocabularySize, epsilon: epsilon, gain_D: weights.vector(WeightName.finalNorm),
                gainGradientOffset: weights.gradientOffset(WeightName.finalNorm),
                projection: weights.linear(.lmHead, layer: 0, config: config, training: training, seed: seed, masks: nil), buffers: $0.bind(arena))
        }
    }

    /// A hash that differs where another stage's, or another checkpoint's, frozen weights would be held; see `FrozenWeights.sampleHash`.
    public func frozenSampleHash() -> UInt64 { weights.frozen.sampleHash() }

    /// Lets messages move on between the tasks of every kernel (see `ThreadPool.setPoll`).
    public var threadPool: ThreadPool { pool }

    // MARK: - A micro-batch's way through the stage

    /// Puts a micro-batch into a slot; every stage of the pipeline needs it (positions, segments), not only the first and the last.
    public func load(_ batch: MicroBatch, slot: Int) throws {
        try batches[slot].load(batch, vocabularySize: config.vocabularySize, positionCount: capacity.positions)
    }

    public func tokenCount(slot: Int) -> Int { batches[slot].tokenCount }
    public func targetCount(slot: Int) -> Int { batches[slot].targetCount }

    /// Runs the layers, without dropout when `evaluating`. `input` [N, D] comes from the stage before (nil on the first), `output` [N, D] goes to the next (nil on the last).
    public func forward(slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?, evaluating: Bool = false) {
        let batch = batches[slot], count = batch.tokenCount * config.hiddenSize
        step.dropout = evaluating ? nil : dropout
        if let embedding_VD, range.isFirst {
            RowKernels.embedding(pool, store.stream(slot: slot, 0), table: embedding_VD, ids_N: batch.tokenIDs_N, N: batch.tokenCount, D: config.hiddenSize)
        } else if let input {
            RowKernels.copy(pool, store.stream(slot: slot, 0), input, count: count)
        }
        let keeps = training.isTraining && !evaluating
        for index in layers.indices {
            let x = store.stream(slot: slot, index)
            let y = index == layers.count - 1 ? output ?? store.output(slot: slot) : store.stream(slot: slot, index + 1)
            if keeps { store.keepInput(pool, slot: slot, layer: index, tokens: batch.tokenCount) }
            layers[index].forward(step, batch, store.activations(slot: slot, layer: index), y_ND: y, x_ND: x)
            if keeps, capacity.recomputation != .full { store.keep(pool, slot: slot, layer: index, tokens: batch.tokenCount) }
        }
        if layers.isEmpty, let output { RowKernels.copy(pool, output, store.output(slot: slot), count: count) }
    }

    /// Computes a slot's activations again before its gradient arrives. Needs `recomputesAhead`.
    public func recompute(slot: Int) {
        guard capacity.recomputation == .full else { return }
        precondition(capacity.recomputesAhead, "the stage was not planned for recomputation ahead")
        let batch = batches[slot], tokens = batch.tokenCount
        for index in layers.indices {
            let x = store.input(pool, slot: slot, layer: index, tokens: tokens)
            layers[index].forward(step, batch, store.activations(slot: slot, layer: index), y_ND: nil, x_ND: x)
            store.keep(pool, slot: slot, layer: index, tokens: tokens)
        }
        recomputedSlot = slot
    }

    /// Adds the slot's gradients (of the summed token loss) to `gradients`.
    /// - Parameters:
    ///   - outputGradient: [N, D] from the next stage; nil on the last, which starts from its own loss.
    ///   - inputGradient: [N, D] for the stage before; nil on the first.
    ///   - weightSlot: keeps what the gradients of the layers' weights need, for `weightGradients`, instead of adding them; then nothing is
    ///     complete before that.
    ///   - finished: called as the pass goes down the stage: gradients at or behind this offset of the layout are complete.
    /// - Returns: the summed loss on the last stage, else 0.
    @discardableResult
    public func backward(
        slot: Int, weightSlot: Int? = nil, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?,
        finished: ((_ offset: Int) throws -> Void)? = nil
    ) rethrows -> Double {
        guard let scratch, let gradientStream else { preconditionFailure("backward on a stage that was made for evaluation") }
        let batch = batches[slot], count = batch.tokenCount * config.hiddenSize
        let dx = inputGradient ?? gradientStream
        var loss = 0.0
        if let head {
            loss = head.loss(step, batch, x_ND: store.output(slot: slot), dx_ND: dx)
        } else if let outputGradient {
            RowKernels.copy(pool, dx, outputGradient, count: count)
        }
        try finished?(firstOffsets[layers.count])
        var context = step
        if let weightSlot { deferrals[weightSlot].begin(rows: batch.tokenCount) }
        let needsInputGradient = inputGradient != nil || embeddingGradientOffset != nil
        for index in layers.indices.reversed() {
            let kept = store.activations(slot: slot, layer: index)
            let x = store.input(pool, slot: slot, layer: index, tokens: batch.tokenCount)
            if capacity.recomputation == .full, recomputedSlot != slot {
                layers[index].forward(step, batch, kept, y_ND: nil, x_ND: x)
            } else {
                store.restore(pool, slot: slot, layer: index, tokens: batch.tokenCount)
                if store.derivesAgain { layers[index].recomputeElementwise(step, batch, kept, x_ND: x) }
            }
            if let weightSlot { context.deferral = (deferrals[weightSlot], index) }
            layers[index].backward(
                context, batch, kept, scratch, dx_ND: dx, x_ND: x, needsInputGradient: needsInputGradient || index > 0)
            try finished?(firstOffsets[index])
        }
        if recomputedSlot == slot { recomputedSlot = nil }
        if let embeddingGradientOffset {
            RowKernels.embeddingBackward(
                pool, dtable_VD: step.gradients + embeddingGradientOffset, dx_ND: dx, ids_N: batch.tokenIDs_N, N: batch.tokenCount, D: config.hiddenSize)
        }
        return loss
    }

    /// Adds the gradients of the layers' weights that `backward` left in a weight slot. `finished`: see there.
    public func weightGradients(weightSlot: Int, finished: ((_ offset: Int) throws -> Void)? = nil) rethrows {
        try finished?(firstOffsets[layers.count])
        try deferrals[weightSlot].run(step) { try finished?(firstOffsets[$0]) }
    }

    // MARK: - Evaluation, on the last stage after `forward`

    /// -log p of each of the slot's labelled positions, in their order, without gradients.
    public func evaluateTokenLosses(slot: Int) -> [Double] {
        guard let head else { preconditionFailure("only the last stage knows the loss") }
        let batch = batches[slot]
        return [Double](unsafeUninitializedCapacity: batch.targetCount) { losses, count in
            _ = head.loss(step, batch, x_ND: store.output(slot: slot), dx_ND: nil, tokenLosses_M: losses.baseAddress)
            count = batch.targetCount
        }
    }

    /// logits [N, V] of every token of the slot.
    public func logits(slot: Int, into logits: UnsafeMutablePointer<Float>) {
        guard let head else { preconditionFailure("only the last stage knows the logits") }
        let batch = batches[slot]
        (0..<Int32(batch.tokenCount)).map { $0 }.withUnsafeBufferPointer { rows in
            guard let base = rows.baseAddress else { return }
            head.logits(step, x_ND: store.output(slot: slot), rows: base, count: rows.count, rowKeys: batch.rowKeys_N, into: logits)
        }
    }

    // MARK: - What a forward pass leaves, for pruning

    /// The inputs that a layer's linear layers multiplied in the slot's last forward pass, [N, in] each. `layer` counts within the stage. Valid
    /// until the next pass; on a stage of f32 products that keeps everything or has one layer.
    package func linearInput(_ group: InputGroup, layer: Int, slot: Int) -> UnsafePointer<Float> {
        let kept = store.activations(slot: slot, layer: layer)
        return switch group {
        case .attention: UnsafePointer(kept.normed1_ND)
        case .output: UnsafePointer(kept.attended_NHd)
        case .mlp: UnsafePointer(kept.normed2_ND)
        case .down: UnsafePointer(kept.product_NF)
        }
    }
}

internal import CLoRAMKernels

/// A `ModelStage` that goes through texts token by token: forward only, with a cache of what attention needs of the tokens before.
///
/// A prompt is read in stretches of `promptChunk` tokens, each a pass of its own; then every pass takes one token of each of up to
/// `rowsTogether` sequences, which share one reading of the weights. What a sequence's rows get does not depend on the others': stretches
/// begin at multiples of their length, and products of few rows have the same bits for any number of them.
///
/// Everything is allocated here, once; the stage's own buffers are not touched. Only the thread that made the pool may call it.
public final class GenerationStage {
    /// Tokens of a prompt that go through the stage together: attention's block.
    public static let promptChunk = Int(LORAM_ATTENTION_BLOCK)
    /// Sequences whose next tokens go through it together: what the products of few rows take.
    public static let rowsTogether = Int(LORAM_SMALL_TOKENS)

    /// One sequence's next token.
    public struct Row: Sendable, Equatable {
        public var slot: Int
        public var position: Int
        public var tokenID: Int32

        public init(slot: Int, position: Int, tokenID: Int32) {
            self.slot = slot
            self.position = position
            self.tokenID = tokenID
        }
    }

    public let stage: ModelStage
    public let capacity: GenerationCapacity

    private let arena: Arena
    private let step: StepContext
    private let rotary: RotaryTable
    private let cache: KeyValueCache
    private let activations: LayerActivations
    private let streams: [UnsafeMutablePointer<Float>]
    private let tokenIDs_N, slots_N, positions_N: UnsafeMutablePointer<Int32>
    private let rowKeys_N: UnsafeMutablePointer<UInt64>
    private let head: OutputHead?
    /// The last pass's result [N, D].
    private var result: UnsafePointer<Float>

    /// - Throws: `MemoryError`.
    public init(stage: ModelStage, capacity: GenerationCapacity) throws {
        precondition(!stage.training.isTraining, "a stage that trains drops parts of its inputs out")
        let config = stage.config, pool = stage.threadPool, kernels = stage.step.products.kernels
        self.stage = stage
        self.capacity = capacity
        let buffers = GenerationBuffers(
            config: config, range: stage.range, training: stage.training, capacity: capacity, kernels: kernels, workers: pool.threadCount,
            hasMaskedProducts: stage.masks != nil && stage.training.lora != nil)
        let arena = try Arena(buffers.arena)
        self.arena = arena
        rotary = try RotaryTable(config.rope, headDim: config.headDim, positionCount: capacity.positions)
        cache = KeyValueCache(
            buffers.cache, arena, stage.range.layers.map { config.layers[$0] }, headDim: config.headDim, capacity: capacity, compute: kernels.type)
        activations = LayerActivations(arena, buffers.products, buffers.derived)
        streams = buffers.streams.map { arena.pointer($0) }
        tokenIDs_N = arena.pointer(buffers.tokenIDs, as: Int32.self)
        slots_N = arena.pointer(buffers.slots, as: Int32.self)
        positions_N = arena.pointer(buffers.positions, as: Int32.self)
        rowKeys_N = arena.pointer(buffers.rowKeys, as: UInt64.self)
        let products = LinearProducts(
            kernels: kernels, pool: pool, workspace: UnsafeMutableRawPointer(arena.pointer(buffers.workspace, as: UInt8.self)),
            workspaceByteCount: buffers.workspace.byteCount)
        step = StepContext(
            pool: pool, products: products, scratchBase: arena.pointer(buffers.workerScratch), scratchCount: buffers.workerScratchCount, dropout: nil,
            gradients: arena.pointer(buffers.workerScratch), masked: buffers.masked?.bind(arena))
        head = buffers.head.map { stage.head!.with($0.bind(arena)) }
        result = UnsafePointer(streams[0])
    }

    /// Tokens first ..< first + count of the prompt in `slot`; `first` is a multiple of `promptChunk`, the tokens before have passed.
    ///
    /// - Parameters:
    ///   - input: [count, D] from the stage before; nil on the first.
    ///   - output: [count, D] for the next stage; nil on the last.
    public func read(
        prompt: [Int32], slot: Int, first: Int, input: UnsafePointer<Float>? = nil, output: UnsafeMutablePointer<Float>? = nil
    ) {
        let count = min(Self.promptChunk, prompt.count - first)
        precondition(count > 0 && first % Self.promptChunk == 0 && prompt.count <= capacity.positions && slot < capacity.sequences)
        for row in 0..<count {
            tokenIDs_N[row] = prompt[first + row]
            positions_N[row] = Int32(first + row)
        }
        run(count, input: input, output: output) { attention, kept in
            attention.forward(
                step, slot: slot, first: first, count: count, o_NHd: kept.attended_NHd, lse_NH: kept.lse_NH, q_NHd: kept.q_NHd, k_NKd: kept.k_NKd,
                v_NKd: kept.v_NKd)
        }
    }

    /// One token of each of up to `rowsTogether` sequences; `input` and `output` as in `read`, a row a sequence.
    public func advance(_ rows: [Row], input: UnsafePointer<Float>? = nil, output: UnsafeMutablePointer<Float>? = nil) {
        precondition(!rows.isEmpty && rows.count <= Self.rowsTogether)
        for (index, row) in rows.enumerated() {
            precondition(row.position < capacity.positions && row.slot < capacity.sequences)
            (tokenIDs_N[index], slots_N[index], positions_N[index]) = (row.tokenID, Int32(row.slot), Int32(row.position))
        }
        run(rows.count, input: input, output: output) { attention, kept in
            attention.forward(
                step, rows: rows.count, slots: slots_N, positions: positions_N, o_NHd: kept.attended_NHd, q_NHd: kept.q_NHd, k_NKd: kept.k_NKd,
                v_NKd: kept.v_NKd)
        }
    }

    /// Gives `target` the first `count` tokens of the sequence in `source`.
    public func copy(from source: Int, to target: Int, count: Int) { cache.copy(stage.threadPool, from: source, to: target, count: count) }

    /// logits [rows.count, V] of rows of the last pass, at most `rowsTogether`; on the last stage. Valid until the next call.
    public func logits(rows: Range<Int>) -> UnsafePointer<Float> {
        guard let head else { preconditionFailure("only the last stage knows the logits") }
        precondition(rows.count <= Self.rowsTogether)
        for (index, row) in rows.enumerated() { slots_N[index] = Int32(row) }
        head.logits(step, x_ND: result, rows: slots_N, count: rows.count, rowKeys: rowKeys_N, into: head.buffers.logits_CV)
        return UnsafePointer(head.buffers.logits_CV)
    }

    private func run(
        _ count: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?, attend: (CachedAttention, LayerActivations) -> Void
    ) {
        let pool = stage.threadPool, width = stage.config.hiddenSize, layers = stage.layers
        var x = input ?? UnsafePointer(streams[0])
        if let table = stage.embedding_VD, stage.range.isFirst {
            RowKernels.embedding(pool, streams[0], table: table, ids_N: tokenIDs_N, N: count, D: width)
        }
        let rows = DecoderLayer.Rows(count: count, positions_N: positions_N, rowKeys_N: rowKeys_N)
        for (index, layer) in layers.enumerated() {
            let y = index == layers.count - 1 ? output ?? streams[(index + 1) % 2] : streams[(index + 1) % 2]
            layer.forward(step, rows, activations, rotary: rotary, y_ND: y, x_ND: x) {
                attend(CachedAttention(attention: layer.attention, cache: cache, layer: index), activations)
            }
            x = UnsafePointer(y)
        }
        if layers.isEmpty, let output { RowKernels.copy(pool, output, x, count: count * width) }
        result = x
    }
}

internal import CLoRAMKernels

/// A stage's trained tensors as its products read them, laid out as its `ParameterLayout`: in f32, or in bf16 where an optimizer holds f32
/// masters of them.
///
/// The kernels read norms' gains in f32: under bf16 each has a widened copy.
public final class TrainedWeights {
    public let layout: ParameterLayout
    /// f32 or bf16.
    public let dtype: DType
    public var byteCount: Int { arena.byteCount }

    private let arena: Arena
    private let base: UnsafeMutableRawPointer
    /// Under bf16: every vector's place in the layout and its f32 copy.
    private var gains: [(tensor: ParameterLayout.Tensor, values: UnsafeMutablePointer<Float>)] = []

    init(_ layout: ParameterLayout, dtype: DType) throws {
        precondition(dtype == .f32 || dtype == .bf16)
        self.layout = layout
        self.dtype = dtype
        let (memory, values, vectors) = Self.plan(layout, dtype)
        arena = try Arena(memory)
        base = UnsafeMutableRawPointer(arena.pointer(values, as: UInt8.self))
        gains = vectors.map { ($0.0, arena.pointer($0.1)) }
    }

    private static func plan(
        _ layout: ParameterLayout, _ dtype: DType
    ) -> (ArenaLayout, values: ArenaLayout.Slice, vectors: [(ParameterLayout.Tensor, ArenaLayout.Slice)]) {
        var memory = ArenaLayout()
        let values = memory.reserve(layout.count * dtype.byteCount, of: UInt8.self)
        let vectors = layout.tensors.filter { dtype == .bf16 && $0.shape.count == 1 }.map { ($0, memory.reserve($0.count)) }
        return (memory, values, vectors)
    }

    /// Bytes that the trained tensors of a layout take.
    static func byteCount(_ layout: ParameterLayout, _ dtype: DType) -> Int { plan(layout, dtype).0.byteCount }

    /// All tensors, where they are f32.
    public var floats: UnsafeMutablePointer<Float> {
        precondition(dtype == .f32, "the trained weights are held in bf16")
        return base.assumingMemoryBound(to: Float.self)
    }

    /// The tensors as they lie in memory, from an element of the layout on.
    public func bytes(at offset: Int) -> UnsafeMutablePointer<UInt8> { (base + offset * dtype.byteCount).assumingMemoryBound(to: UInt8.self) }

    /// Puts values into a range of the layout, rounded where the weights are bf16. `refreshGains` follows.
    public func store(_ values: UnsafePointer<Float>, at range: Range<Int>, pool: ThreadPool) {
        pool.runBlocks(range.count, of: 1 << 16) { block, _ in
            let source = values + block.lowerBound, target = self.base + (range.lowerBound + block.lowerBound) * self.dtype.byteCount
            if self.dtype == .bf16 {
                loram_narrow_bf16(target.assumingMemoryBound(to: UInt16.self), source, block.count)
            } else {
                target.assumingMemoryBound(to: Float.self).update(from: source, count: block.count)
            }
        }
    }

    /// Brings the f32 copies of norms' gains up to date.
    public func refreshGains() {
        for (tensor, values) in gains {
            loram_widen_bf16(values, UnsafeRawPointer(bytes(at: tensor.offset)).assumingMemoryBound(to: UInt16.self), tensor.count)
        }
    }

    func vector(_ tensor: ParameterLayout.Tensor) -> UnsafePointer<Float> {
        UnsafePointer(gains.first { $0.tensor.name == tensor.name }?.values ?? floats + tensor.offset)
    }

    func matrix(_ tensor: ParameterLayout.Tensor) -> WeightMatrix {
        WeightMatrix(UnsafeRawPointer(bytes(at: tensor.offset)), element: dtype.element!, rows: tensor.shape[0], columns: tensor.shape[1])
    }
}

extension TensorSource {
    /// Reads some elements of a weight, in row-major order, a few MiB of whole rows at a time.
    ///
    /// - Throws: as `copyFloats`.
    public func readFloats(
        _ name: String, shape: [Int], elements: Range<Int>, _ body: (_ values: UnsafePointer<Float>, _ elements: Range<Int>) throws -> Void
    ) throws {
        guard !elements.isEmpty else { return }
        let width = shape.dropFirst().reduce(1, *), rowsAtOnce = max(1, (4 << 20) / width)
        let first = elements.lowerBound / width, last = (elements.upperBound + width - 1) / width
        var memory = ArenaLayout()
        let slice = memory.reserve(min(last - first, rowsAtOnce) * width)
        let arena = try Arena(memory)
        let buffer: UnsafeMutablePointer<Float> = arena.pointer(slice)
        for start in stride(from: first, to: last, by: rowsAtOnce) {
            let rows = start..<min(start + rowsAtOnce, last)
            try copyFloats(name, shape: shape, rows: rows, into: buffer)
            let part = elements.clamped(to: rows.lowerBound * width..<rows.upperBound * width)
            try body(buffer + (part.lowerBound - rows.lowerBound * width), part)
        }
    }
}

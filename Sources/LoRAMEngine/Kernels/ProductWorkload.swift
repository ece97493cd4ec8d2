/// One linear layer of random values, multiplied as a step does it: what measurements of the products run.
///
/// Legend: N rows (tokens), O outputs, I inputs.
public final class ProductWorkload {
    public enum Direction: String, Sendable, CaseIterable {
        /// y[N, O] = x[N, I] W^T.
        case forward
        /// dx[N, I] = dy[N, O] W.
        case backward
    }

    public let rows: Int, outputs: Int, inputs: Int
    /// Of one copy of the weight, scales included.
    public let weightByteCount: Int
    private let products: LinearProducts
    private let weights: [WeightMatrix]
    private let source: UnsafeMutablePointer<Float>
    private let target: UnsafeMutablePointer<Float>
    /// What keeps the pointers valid.
    private let owners: [AnyObject]

    /// - Parameters:
    ///   - quantizes: W in NF4 with double quantization, else in the compute type.
    ///   - copies: of W, which `run` multiplies with in turn; enough of them keep W out of the caches.
    /// - Throws: errors of memory and of `Quantizer`.
    public init(kernels: ComputeKernels, pool: ThreadPool, rows: Int, outputs: Int, inputs: Int, quantizes: Bool, copies: Int = 1) throws {
        (self.rows, self.outputs, self.inputs) = (rows, outputs, inputs)
        let workspaceByteCount = LinearProducts.workspaceByteCount(
            kernels, rows: rows, outputs: outputs, inputs: inputs, rank: 0, trainsWeight: false, workers: pool.threadCount)
        let longest = rows * max(outputs, inputs)
        var layout = ArenaLayout()
        let sourceSlice = layout.reserve(longest), targetSlice = layout.reserve(longest), workspace = layout.reserve(workspaceByteCount, of: UInt8.self)
        let arena = try Arena(layout)
        (source, target) = (arena.pointer(sourceSlice), arena.pointer(targetSlice))
        Self.fill(source, count: longest)
        products = LinearProducts(
            kernels: kernels, pool: pool, workspace: arena.pointer(workspace, as: UInt8.self), workspaceByteCount: workspaceByteCount)

        var owners: [AnyObject] = [arena], weights: [WeightMatrix] = []
        let values = ByteBuffer(count: 4 * outputs * inputs), floats = values.base.assumingMemoryBound(to: Float.self)
        Self.fill(floats, count: outputs * inputs)
        if quantizes {
            let tensors = try (0..<copies).map { _ in
                try Quantizer().quantize(floats, name: "weight", shape: [outputs, inputs], dtype: .bf16, pool: pool)
            }
            weights = tensors.map { WeightMatrix(nf4: $0.codes, scales: $0.scales.c, dtype: $0.dtype, rows: outputs, columns: inputs) }
            weightByteCount = tensors[0].byteCount
            owners.append(Box(tensors))
        } else {
            let dtype: DType = kernels.type == .bf16 ? .bf16 : .f32
            weightByteCount = outputs * inputs * dtype.byteCount
            for _ in 0..<copies {
                let copy = ByteBuffer(count: weightByteCount)
                if dtype == .f32 { copy.base.copyMemory(from: values.base, byteCount: weightByteCount) }
                else { FloatConversion.bf16(from: floats, count: outputs * inputs, into: copy.base) }
                owners.append(copy)
                weights.append(WeightMatrix(copy.base, element: dtype.element!, rows: outputs, columns: inputs))
            }
        }
        self.weights = weights
        self.owners = owners
    }

    /// Operations of one product: a multiplication and an addition for each weight and row.
    public var gigaflop: Double { 2e-9 * Double(rows) * Double(outputs) * Double(inputs) }

    /// One product with every copy of W.
    public func run(_ direction: Direction) {
        withExtendedLifetime(owners) {
            for weight in weights {
                switch direction {
                case .forward: products.forward(target, source, weight, rows: rows, rounds: false, lowRank: nil)
                case .backward: products.inputGradient(target, source, weight, rows: rows, accumulate: false, lowRank: nil)
                }
            }
        }
    }

    /// Normally distributed values, repeated after a while.
    public static func fill(_ values: UnsafeMutablePointer<Float>, count: Int) {
        // An odd period, so that no two rows or blocks are alike.
        let period = min(count, 65521)
        CounterRandom(seed: 1, name: "bench.values").fillNormal(values, count: period, deviation: 0.02)
        var filled = period
        while filled < count {
            let more = min(filled, count - filled)
            (values + filled).update(from: values, count: more)
            filled += more
        }
    }

    private final class Box {
        let tensors: [NF4Tensor]
        init(_ tensors: [NF4Tensor]) { self.tensors = tensors }
    }
}

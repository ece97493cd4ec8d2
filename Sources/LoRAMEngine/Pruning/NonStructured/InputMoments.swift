internal import CLoRAMKernels

/// Sums x x^T, or its diagonal, over tokens: what SparseGPT and Wanda know of a linear layer's inputs.
public final class InputMoments {
    private let score: WeightScore
    private let pool: ThreadPool
    private let products: LinearProducts
    private let arena: Arena

    /// - Parameters:
    ///   - inputs: of the widest linear layer.
    ///   - tokens: of the longest sequence.
    /// - Throws: `MemoryError`.
    public init(score: WeightScore, inputs: Int, tokens: Int, pool: ThreadPool, kernels: ComputeKernels) throws {
        self.score = score
        self.pool = pool
        let bytes = score != .sparseGPT ? 64 : LinearProducts.workspaceByteCount(
            kernels, rows: tokens, outputs: inputs, inputs: inputs, rank: 0, trainsWeight: true, workers: pool.threadCount)
        var layout = ArenaLayout()
        let slice = layout.reserve(bytes, of: UInt8.self)
        arena = try Arena(layout)
        products = LinearProducts(
            kernels: kernels, pool: pool, workspace: UnsafeMutableRawPointer(arena.pointer(slice, as: UInt8.self)), workspaceByteCount: bytes)
    }

    /// sums [inputs, inputs] (or [inputs]) += sum over the rows of x_NI of x x^T (or of x^2), rows in order.
    public func add(_ x_NI: UnsafePointer<Float>, rows N: Int, inputs I: Int, to sums: UnsafeMutablePointer<Float>) {
        switch score {
        case .sparseGPT: products.weightGradient(sums, x_NI, x_NI, rows: N, outputs: I, inputs: I)
        case .wanda:
            pool.runBlocks(I, of: 256) { columns, _ in
                for row in 0..<N {
                    let x = x_NI + row * I
                    for column in columns { sums[column] += x[column] * x[column] }
                }
            }
        case .magnitude: break
        }
    }
}

import Foundation
import LoRAMEngine
import Testing

/// One matrix against the float64 NumPy reference (Tests/fixtures-src/make_pruning.py): the same masks, weights within 1e-4.
@Suite struct MatrixPruningTests {
    let tensors: SafetensorsFile
    let weight: [Float]
    /// [tokens, columns]
    let inputs: [Float]
    let rows = 12
    let columns = 140

    init() throws {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/pruning").path
        tensors = try SafetensorsFile(path: "\(folder)/matrix.safetensors")
        var weight = [Float](repeating: 0, count: rows * columns)
        try tensors.tensor("weight").copyFloats(into: &weight)
        self.weight = weight
        inputs = try tensors.tensor("inputs").withBytes { $0.map { Float(Int8(bitPattern: $0)) / 32 } }
    }

    func bytes(_ name: String) throws -> [UInt8] { try tensors.tensor(name).withBytes { Array($0) } }

    static let shares: [(name: String, sparsity: Sparsity)] = [
        ("half", .ratio(0.5)), ("4:8", .pattern(zeros: 4, of: 8)), ("3:5", .pattern(zeros: 3, of: 5)),
    ]

    @Test(arguments: [1, 2], shares.map(\.name)) func sparseGPT(threads: Int, name: String) throws {
        let sparsity = Self.shares.first { $0.name == name }!.sparsity
        let pool = try ThreadPool(threadCount: threads)
        var moments = [Float](repeating: 0, count: columns * columns)
        let sums = try InputMoments(score: .sparseGPT, inputs: columns, tokens: inputs.count / columns, pool: pool, kernels: ComputeKernels())
        sums.add(inputs, rows: inputs.count / columns, inputs: columns, to: &moments)
        let dead = try #require(InverseFactor.factor(&moments, size: columns, scale: 2))
        #expect(dead == [17])
        var pruned = weight
        let mask = MaskBits(rows: rows, columns: columns)
        SparseGPT.prune(&pruned, rows: rows, columns: columns, u_II: moments, dead: dead, sparsity: sparsity, mask: mask, pool: pool)
        #expect(try Array(UnsafeBufferPointer(start: mask.bytes, count: mask.byteCount)) == bytes("sparsegpt.\(name).mask"))
        var expected = weight
        try tensors.tensor("sparsegpt.\(name).weight").copyFloats(into: &expected)
        #expect(relativeError(pruned, expected) < 1e-4)
        for row in 0..<rows { for column in 0..<columns where !mask.isKept(row, column) { #expect(pruned[row * columns + column] == 0) } }
    }

    @Test(arguments: [WeightScore.wanda, .magnitude], shares.map(\.name)) func scores(_ score: WeightScore, name: String) throws {
        let sparsity = Self.shares.first { $0.name == name }!.sparsity
        let pool = try ThreadPool(threadCount: 2)
        var norms = [Float](repeating: 0, count: columns)
        let sums = try InputMoments(score: .wanda, inputs: columns, tokens: inputs.count / columns, pool: pool, kernels: ComputeKernels())
        sums.add(inputs, rows: inputs.count / columns, inputs: columns, to: &norms)
        norms = norms.map { $0.squareRoot() }
        var pruned = weight
        let mask = MaskBits(rows: rows, columns: columns)
        norms.withUnsafeBufferPointer {
            ScoredPruning.prune(
                &pruned, rows: rows, columns: columns, norms_I: score == .wanda ? $0.baseAddress : nil, sparsity: sparsity, mask: mask, pool: pool)
        }
        #expect(try Array(UnsafeBufferPointer(start: mask.bytes, count: mask.byteCount)) == bytes("\(score.rawValue).\(name).mask"))
        for index in pruned.indices { #expect(pruned[index] == (mask.isKept(index / columns, index % columns) ? weight[index] : 0)) }
    }

    /// Nothing goes at ratio 0; a matrix of moments that no inputs have is refused.
    @Test func edges() throws {
        let pool = try ThreadPool(threadCount: 1)
        var moments = [Float](repeating: 0, count: 9)
        #expect(InverseFactor.factor(&moments, size: 3, scale: 1) == [0, 1, 2])
        var values: [Float] = [0, -1, 2, 3, 0, 5]
        for norms in [nil, [1, 1, 1] as [Float]?] {
            let mask = MaskBits(rows: 2, columns: 3)
            if var norms {
                ScoredPruning.prune(&values, rows: 2, columns: 3, norms_I: &norms, sparsity: .ratio(0), mask: mask, pool: pool)
            } else {
                ScoredPruning.prune(&values, rows: 2, columns: 3, norms_I: nil, sparsity: .ratio(0), mask: mask, pool: pool)
            }
            #expect(mask.keptCount == 6)
        }
        var broken: [Float] = [1, .nan, .nan, 1]
        #expect(InverseFactor.factor(&broken, size: 2, scale: 1) == nil)
        var indefinite: [Float] = [1, 5, 5, 1]
        #expect(InverseFactor.factor(&indefinite, size: 2, scale: 1) == nil)
    }
}

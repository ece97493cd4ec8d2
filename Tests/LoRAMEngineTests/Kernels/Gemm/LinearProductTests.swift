import CLoRAMKernels
import TestSupport
import Testing

/// The linear layer's three products against a sum in f64.
@Suite struct LinearProductTests {
    /// Sums of n products differ from the exact ones by a few roundings of the running sum, relative to the sum of magnitudes.
    static let tolerance = 5e-7

    struct Shape: CustomTestStringConvertible, Sendable {
        let tokens: Int, outputs: Int, inputs: Int, rank: Int
        var testDescription: String { "\(tokens) x \(outputs) x \(inputs), rank \(rank)" }
    }

    /// Few tokens and many, tiles that fill and that do not, rows that start in mid-byte, more than one block of the inner dimension,
    /// more than one task.
    static let shapes = [
        Shape(tokens: 1, outputs: 1, inputs: 1, rank: 0), Shape(tokens: 1, outputs: 50, inputs: 131, rank: 3), Shape(tokens: 3, outputs: 97, inputs: 192, rank: 8),
        Shape(tokens: 7, outputs: 49, inputs: 1100, rank: 0), Shape(tokens: 8, outputs: 13, inputs: 257, rank: 5), Shape(tokens: 16, outputs: 51, inputs: 643, rank: 33),
        Shape(tokens: 17, outputs: 33, inputs: 65, rank: 1), Shape(tokens: 29, outputs: 64, inputs: 128, rank: 16), Shape(tokens: 45, outputs: 300, inputs: 37, rank: 8),
        Shape(tokens: 5, outputs: 55, inputs: 128, rank: 2), Shape(tokens: 13, outputs: 60, inputs: 2176, rank: 6), Shape(tokens: 11, outputs: 7, inputs: 1501, rank: 0),
        Shape(tokens: 2, outputs: 1300, inputs: 19, rank: 4), Shape(tokens: 20, outputs: 1030, inputs: 40, rank: 0), Shape(tokens: 61, outputs: 31, inputs: 143, rank: 7),
        Shape(tokens: 6, outputs: 149, inputs: 704, rank: 3), Shape(tokens: 9, outputs: 71, inputs: 1536, rank: 0), Shape(tokens: 4, outputs: 261, inputs: 96, rank: 9),
    ]

    private struct Setting {
        let weight: StoredWeight
        let x: Matrix, dy: Matrix, left: Matrix, b: Matrix, a: Matrix
        let workers: Int, accumulates: Bool, gap: Int
        var random: LinearCongruentialGenerator
    }

    private func setting(_ shape: Shape, _ kind: StoredWeight.Kind, seed: Int) -> Setting {
        var random = LinearCongruentialGenerator(seed: UInt64(seed))
        let gap = random.below(6)
        let weight = StoredWeight(kind, rows: shape.outputs, columns: shape.inputs, gap: random.below(4), offset: random.below(8), random: &random)
        let x = Matrix(shape.tokens, shape.inputs, gap: gap, random: &random), dy = Matrix(shape.tokens, shape.outputs, gap: random.below(6), random: &random)
        let left = Matrix(shape.tokens, shape.rank, gap: 1, random: &random)
        let b = Matrix(shape.outputs, shape.rank, gap: 2, random: &random), a = Matrix(shape.rank, shape.inputs, gap: 3, random: &random)
        return Setting(weight: weight, x: x, dy: dy, left: left, b: b, a: a, workers: 1 + random.below(4), accumulates: random.below(2) == 1, gap: gap, random: random)
    }

    /// Runs a product in the tasks' order and in a shuffled one, which must give the same bits, and returns the result.
    private func run(
        _ kernels: KernelCase, _ product: loram_product, _ shape: Shape, _ s: Setting, before: Matrix, _ body: (UnsafePointer<loram_execution>, UnsafeMutablePointer<Float>) -> loram_status
    ) -> Matrix {
        let bytes = loram_linear_workspace(kernels.set, kernels.compute, product, shape.tokens, shape.outputs, shape.inputs, shape.rank, Int32(s.workers))
        var results: [Matrix] = []
        for seed in [nil, 1, 2] as [UInt64?] {
            var result = before
            let status = withExecution(kernels, workers: s.workers, seed: seed, bytes: bytes) { execution in
                result.values.withUnsafeMutableBufferPointer { body(execution, $0.baseAddress!) }
            }
            #expect(status == LORAM_OK)
            results.append(result)
        }
        #expect(results.dropFirst().allSatisfy { $0.values.map(\.bitPattern) == results[0].values.map(\.bitPattern) })
        return results[0]
    }

    private func withLowRank(_ left: Matrix, _ right: Matrix, _ rank: Int, _ body: (UnsafePointer<loram_low_rank>?) -> loram_status) -> loram_status {
        guard rank > 0 else { return body(nil) }
        return left.values.withUnsafeBufferPointer { leftValues in
            right.values.withUnsafeBufferPointer {
                var term = loram_low_rank(
                    left: leftValues.baseAddress, left_stride: left.stride, right: $0.baseAddress, right_stride: right.stride, rank: rank, scale: 0.75)
                return body(&term)
            }
        }
    }

    @Test(arguments: KernelCase.all, shapes) func forwardIsTheNaiveSum(kernels: KernelCase, shape: Shape) {
        for (seed, kind) in StoredWeight.Kind.allCases.enumerated() {
            var s = setting(shape, kind, seed: seed)
            let before = Matrix(shape.tokens, shape.outputs, gap: s.gap, random: &s.random)
            let start = before.values
            let y = run(kernels, LORAM_FORWARD, shape, s, before: before) { execution, y in
                s.weight.withWeight { weight in
                    withLowRank(s.left, s.b, shape.rank) {
                        // What y holds does not count, only what it starts from.
                        for row in 0..<shape.tokens { for column in 0..<shape.outputs { y[row * before.stride + column] = .nan } }
                        return loram_linear_forward(execution, y, before.stride, s.accumulates ? start : nil, 0, s.x.values, s.x.stride, weight, shape.tokens, $0)
                    }
                }
            }
            let round = kernels.isBF16 ? roundedToBF16 : { $0 }
            let comparison = Comparison(y, start: s.accumulates ? before : nil, before: before) { row, column in
                ExactSum().adding(shape.inputs, { round(s.x[row, $0]) }, { round(s.weight.values[column * shape.inputs + $0]) }).adding(shape.rank, scale: 0.75, { s.left[row, $0] }, { s.b[column, $0] })
            }
            #expect(comparison.error < Self.tolerance, "\(kind)")
            #expect(comparison.isContained)
        }
    }

    @Test(arguments: KernelCase.all, shapes) func inputGradientIsTheNaiveSum(kernels: KernelCase, shape: Shape) {
        for (seed, kind) in StoredWeight.Kind.allCases.enumerated() {
            var s = setting(shape, kind, seed: seed + 10)
            let before = Matrix(shape.tokens, shape.inputs, gap: s.gap, random: &s.random)
            let dx = run(kernels, LORAM_INPUT_GRADIENT, shape, s, before: before) { execution, dx in
                s.weight.withWeight { weight in
                    withLowRank(s.left, s.a, shape.rank) {
                        loram_linear_input_gradient(execution, dx, before.stride, s.accumulates ? 1 : 0, s.dy.values, s.dy.stride, weight, shape.tokens, $0)
                    }
                }
            }
            let round = kernels.isBF16 ? roundedToBF16 : { $0 }
            let comparison = Comparison(dx, start: s.accumulates ? before : nil, before: before) { row, column in
                ExactSum().adding(shape.outputs, { round(s.dy[row, $0]) }, { round(s.weight.values[$0 * shape.inputs + column]) }).adding(shape.rank, scale: 0.75, { s.left[row, $0] }, { s.a[$0, column] })
            }
            #expect(comparison.error < Self.tolerance, "\(kind)")
            #expect(comparison.isContained)
        }
    }

    @Test(arguments: KernelCase.all, shapes) func weightGradientIsTheNaiveSum(kernels: KernelCase, shape: Shape) {
        var s = setting(shape, .f32, seed: 20 + shape.tokens)
        let before = Matrix(shape.outputs, shape.inputs, gap: s.gap, random: &s.random)
        let dw = run(kernels, LORAM_WEIGHT_GRADIENT, shape, s, before: before) {
            loram_linear_weight_gradient($0, $1, before.stride, s.accumulates ? 1 : 0, s.dy.values, s.dy.stride, s.x.values, s.x.stride, shape.tokens, shape.outputs, shape.inputs)
        }
        let round = kernels.isBF16 ? roundedToBF16 : { $0 }
        let comparison = Comparison(dw, start: s.accumulates ? before : nil, before: before) { row, column in
            ExactSum().adding(shape.tokens, { round(s.dy[$0, row]) }, { round(s.x[$0, column]) })
        }
        #expect(comparison.error < Self.tolerance)
        #expect(comparison.isContained)
    }

    /// A scale that is NaN, whose payload a rounding would carry into the sign, leaves NaN in its row and in no other.
    @Test(arguments: KernelCase.all, [1, 3, 6, 16, 20]) func aScaleThatIsNaNIsSeen(kernels: KernelCase, tokens: Int) {
        let rows = 5, columns = 64, codes = [UInt8](repeating: 0x1e, count: rows * columns / 2), x = [Float](repeating: 0.5, count: tokens * columns)
        for pattern: UInt32 in [0x7fff_ffff, 0xffff_ffff, 0x7fc0_0000] {
            var scales = [Float](repeating: 1, count: rows), y = [Float](repeating: 0, count: tokens * rows)
            scales[2] = Float(bitPattern: pattern)
            let bytes = loram_linear_workspace(kernels.set, kernels.compute, LORAM_FORWARD, tokens, rows, columns, 0, 1)
            let status = withExecution(kernels, workers: 1, seed: nil, bytes: bytes) { execution in
                codes.withUnsafeBufferPointer { codes in
                    scales.withUnsafeBufferPointer { scales in
                        var weight = loram_weight(
                            element: LORAM_ELEMENT_NF4, rows: rows, columns: columns, data: codes.baseAddress, row_stride: columns,
                            scales: loram_nf4_scales(absmax: scales.baseAddress, nested_absmax: nil, nested_map: nil, nested_offset: 0, rounds_bf16: 1))
                        return loram_linear_forward(execution, &y, rows, nil, 0, x, columns, &weight, tokens, nil)
                    }
                }
            }
            #expect(status == LORAM_OK)
            for token in 0..<tokens { for row in 0..<rows { #expect(y[token * rows + row].isNaN == (row == 2)) } }
        }
    }

    /// More tokens than one chunk and more k's than one block, checked in some rows.
    @Test(arguments: KernelCase.all) func longProductsAreTheNaiveSum(kernels: KernelCase) {
        let shape = Shape(tokens: 4100, outputs: 12, inputs: 1100, rank: 0)
        var s = setting(shape, .nf4Double, seed: 5)
        let before = Matrix(shape.tokens, shape.outputs, random: &s.random)
        let y = run(kernels, LORAM_FORWARD, shape, s, before: before) { execution, y in
            s.weight.withWeight { loram_linear_forward(execution, y, before.stride, nil, 0, s.x.values, s.x.stride, $0, shape.tokens, nil) }
        }
        let round = kernels.isBF16 ? roundedToBF16 : { $0 }
        for row in [0, 1, 1024, 2049, 2050, 2051, 4095, 4096, 4099] {
            for column in 0..<shape.outputs {
                let exact = ExactSum().adding(shape.inputs, { round(s.x[row, $0]) }, { round(s.weight.values[column * shape.inputs + $0]) })
                #expect(abs(Double(y[row, column]) - exact.sum) < Self.tolerance * exact.magnitude)
            }
        }
    }

    /// What a sequence generates does not depend on the sequences beside it.
    @Test(arguments: KernelCase.all, [64 * 40, 611]) func fewTokensDoNotDependOnEachOther(kernels: KernelCase, inputs: Int) {
        let most = Int(LORAM_SMALL_TOKENS), outputs = 53
        var s = setting(Shape(tokens: most, outputs: outputs, inputs: inputs, rank: 3), .nf4Double, seed: 9)
        let before = (1...most).map { Matrix($0, outputs, random: &s.random) }
        let settled = s
        func forward(_ tokens: Int) -> [UInt32] {
            let s = settled, shape = Shape(tokens: tokens, outputs: outputs, inputs: inputs, rank: 3)
            let y = run(kernels, LORAM_FORWARD, shape, s, before: before[tokens - 1]) { execution, y in
                s.weight.withWeight { weight in
                    withLowRank(s.left, s.b, 3) { loram_linear_forward(execution, y, outputs, nil, 0, s.x.values, s.x.stride, weight, tokens, $0) }
                }
            }
            return y.values.map(\.bitPattern)
        }
        let whole = forward(most)
        for tokens in 1..<most { #expect(forward(tokens)[...] == whole[..<(tokens * outputs)], "\(tokens) tokens") }
    }

    /// A second product of the same x finds it packed; of so many or so few tokens that it is not, it reads it again.
    @Test(arguments: KernelCase.all, [7, 40, 700, 4100]) func aSecondProductOfTheSameInput(kernels: KernelCase, tokens: Int) {
        let inputs = 1100, outputs = 37, rank = 3
        var s = setting(Shape(tokens: tokens, outputs: outputs, inputs: inputs, rank: rank), .nf4Double, seed: 13)
        let before = Matrix(tokens, outputs, random: &s.random)
        let other = setting(Shape(tokens: tokens, outputs: 300, inputs: inputs, rank: 0), .bf16, seed: 14)
        let isPacked = tokens > Int(LORAM_SMALL_TOKENS) && tokens <= 4096
        let unread = [Float](repeating: .nan, count: isPacked ? s.x.values.count : 0)
        func forward(again: Bool) -> [UInt32] {
            var y = before.values
            let bytes = loram_linear_workspace(kernels.set, kernels.compute, LORAM_FORWARD, tokens, 300, inputs, rank, 2)
            let status = withExecution(kernels, workers: 2, seed: 1, bytes: bytes) { execution in
                if again {
                    var first = [Float](repeating: 0, count: tokens * 300)
                    let status = other.weight.withWeight { loram_linear_forward(execution, &first, 300, nil, 0, s.x.values, s.x.stride, $0, tokens, nil) }
                    guard status == LORAM_OK else { return status }
                }
                return s.weight.withWeight { weight in
                    withLowRank(s.left, s.b, rank) {
                        let product = again ? loram_linear_forward_again : loram_linear_forward
                        return product(execution, &y, before.stride, nil, 0, again && isPacked ? unread : s.x.values, s.x.stride, weight, tokens, $0)
                    }
                }
            }
            #expect(status == LORAM_OK)
            return y.map(\.bitPattern)
        }
        #expect(forward(again: true) == forward(again: false))
    }

    /// The workspace for many tokens is enough for fewer, and one byte less than it is refused.
    @Test(arguments: KernelCase.all) func workspaceGrowsWithTokens(kernels: KernelCase) {
        for product in [LORAM_FORWARD, LORAM_INPUT_GRADIENT, LORAM_WEIGHT_GRADIENT] {
            var last = 0
            for tokens in [0, 1, 2, 3, 5, 8, 9, 11, 15, 16, 17, 30, 100, 512, 1023, 1025, 2047, 2048, 4095, 4097, 5000, 9000] {
                let bytes = loram_linear_workspace(kernels.set, kernels.compute, product, tokens, 300, 1700, 8, 3)
                #expect(bytes >= last)
                last = bytes
            }
        }
        for tokens in [4, 40] {
            let s = setting(Shape(tokens: tokens, outputs: 70, inputs: 90, rank: 0), .nf4, seed: 3)
            let bytes = loram_linear_workspace(kernels.set, kernels.compute, LORAM_FORWARD, tokens, 70, 90, 0, 2)
            var y = [Float](repeating: 7, count: tokens * 70)
            let status = withExecution(kernels, workers: 2, bytes: bytes / 2) { execution in
                s.weight.withWeight { loram_linear_forward(execution, &y, 70, nil, 0, s.x.values, s.x.stride, $0, tokens, nil) }
            }
            #expect(status == LORAM_SMALL_WORKSPACE)
            #expect(y.allSatisfy { $0 == 7 })
        }
    }

    /// An inner dimension of zero leaves zeros, the start, or the low-rank term; no rows or columns leave everything alone.
    @Test(arguments: KernelCase.all) func emptyProducts(kernels: KernelCase) {
        for tokens in [2, 30] {
            var random = LinearCongruentialGenerator(seed: 9)
            let left = Matrix(tokens, 2, random: &random), b = Matrix(5, 2, random: &random)
            var weight = loram_weight(element: LORAM_ELEMENT_F32, rows: 5, columns: 0, data: nil, row_stride: 0, scales: loram_nf4_scales())
            let x = [Float](repeating: .nan, count: 1)
            for (accumulate, rank) in [(0, 0), (1, 0), (0, 2), (1, 2)] {
                var y = [Float](repeating: .nan, count: tokens * 5)
                let bytes = loram_linear_workspace(kernels.set, kernels.compute, LORAM_FORWARD, tokens, 5, 0, rank, 1)
                let status = withExecution(kernels, workers: 1, bytes: bytes) { execution in
                    withLowRank(left, b, rank) { loram_linear_forward(execution, &y, 5, accumulate == 1 ? [Float](repeating: 3, count: tokens * 5) : nil, 0, x, 0, &weight, tokens, $0) }
                }
                #expect(status == LORAM_OK)
                for row in 0..<tokens {
                    for column in 0..<5 {
                        let term = ExactSum().adding(rank, scale: 0.75, { left[row, $0] }, { b[column, $0] }).sum
                        #expect(abs(Double(y[row * 5 + column]) - term - (accumulate == 1 ? 3 : 0)) < 1e-6)
                    }
                }
            }
            var untouched: [Float] = [1]
            let status = withExecution(kernels, workers: 1, bytes: 64) { loram_linear_forward($0, &untouched, 0, nil, 0, x, 0, &weight, 0, nil) }
            #expect(status == LORAM_OK && untouched == [1])
        }
    }

    @Test func badArgumentsAreRefused() {
        let kernels = KernelCase.all[0]
        var weight = loram_weight(element: LORAM_ELEMENT_F32, rows: 4, columns: 4, data: nil, row_stride: 4, scales: loram_nf4_scales())
        var y = [Float](repeating: 0, count: 16)
        let x = [Float](repeating: 0, count: 16)
        func status(_ change: (inout loram_weight) -> Void, tokens: Int = 4) -> loram_status {
            withExecution(kernels, workers: 1, bytes: 1 << 20) { execution in
                x.withUnsafeBytes { data in
                    weight.data = data.baseAddress
                    var changed = weight
                    change(&changed)
                    return loram_linear_forward(execution, &y, 4, nil, 0, x, 4, &changed, tokens, nil)
                }
            }
        }
        #expect(status { _ in } == LORAM_OK)
        #expect(status { $0.data = nil } == LORAM_BAD_ARGUMENT)
        #expect(status { $0.rows = -1 } == LORAM_BAD_ARGUMENT)
        #expect(status { $0.row_stride = 3 } == LORAM_BAD_ARGUMENT)
        #expect(status { $0.element = LORAM_ELEMENT_NF4 } == LORAM_BAD_ARGUMENT)
        #expect(status({ _ in }, tokens: -1) == LORAM_BAD_ARGUMENT)
    }
}

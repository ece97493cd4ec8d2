import CLoRAMKernels
import LoRAMEngine
import TestSupport
import Testing

/// LoRA's thin products of an input under dropout, against sums in f64 of an input that was dropped element by element.
@Suite struct ThinDropoutTests {
    struct Shape: CustomTestStringConvertible, Sendable {
        let tokens: Int, width: Int, rank: Int
        var testDescription: String { "\(tokens) x \(width), rank \(rank)" }
    }

    static let shapes = [
        Shape(tokens: 1, width: 1, rank: 1), Shape(tokens: 5, width: 63, rank: 3), Shape(tokens: 24, width: 130, rank: 8), Shape(tokens: 70, width: 259, rank: 16),
        Shape(tokens: 131, width: 64, rank: 9), Shape(tokens: 3, width: 2100, rank: 2), Shape(tokens: 5, width: 70, rank: 600), Shape(tokens: 0, width: 9, rank: 2),
    ]
    static let threshold: UInt32 = 19661, key: UInt64 = 0x0123_4567_89ab_cdef
    static let scale: Float = 1 / (1 - 0.3)
    static let tolerance = 5e-7

    private static func rowKeys(_ count: Int) -> [UInt64] { (0..<count).map { UInt64($0 + 1) &* 0x9e37_79b9_7f4a_7c15 } }

    /// What dropout multiplies an element with, by the rule of loram_kernels.h.
    private static func factor(_ rowKey: UInt64, _ column: Int) -> Float {
        let words = CounterRandom.philox4x32(
            counter: (UInt32(column / 8), 0, UInt32(truncatingIfNeeded: rowKey), UInt32(rowKey >> 32)),
            key: (UInt32(truncatingIfNeeded: key), UInt32(key >> 32)))
        let word = [words.0, words.1, words.2, words.3][column % 8 / 2]
        return (column % 2 == 0 ? word & 0xffff : word >> 16) < threshold ? 0 : scale
    }

    private static func dropped(_ x: Matrix) -> Matrix {
        var result = x
        let keys = rowKeys(x.rows)
        for row in 0..<x.rows { for column in 0..<x.columns { result.values[row * x.stride + column] *= factor(keys[row], column) } }
        return result
    }

    /// Runs body in the tasks' order and in a shuffled one; the bits must agree.
    private func run(
        _ kernels: KernelCase, _ shape: Shape, before: Matrix,
        _ body: (UnsafePointer<loram_execution>, UnsafeMutablePointer<Float>, UnsafePointer<loram_dropout_mask>) -> loram_status
    ) -> Matrix {
        let bytes = loram_thin_workspace(kernels.set, shape.tokens, shape.width, shape.rank, 3)
        let results = ([nil, 5] as [UInt64?]).map { seed -> Matrix in
            var result = before
            let status = Self.rowKeys(shape.tokens).withUnsafeBufferPointer { keys in
                var mask = loram_dropout_mask(row_keys: keys.baseAddress, key: Self.key, threshold: Self.threshold, scale: Self.scale)
                return withExecution(kernels, workers: 3, seed: seed, bytes: bytes) { execution in
                    result.values.withUnsafeMutableBufferPointer { body(execution, $0.baseAddress!, &mask) }
                }
            }
            #expect(status == LORAM_OK)
            return result
        }
        #expect(results[0].values.map(\.bitPattern) == results[1].values.map(\.bitPattern))
        return results[0]
    }

    @Test(arguments: ThinProductTests.sets, shapes) func project(kernels: KernelCase, shape: Shape) {
        var random = LinearCongruentialGenerator(seed: 11)
        let x = Matrix(shape.tokens, shape.width, gap: 2, random: &random), a = Matrix(shape.rank, shape.width, gap: 1, random: &random)
        let before = Matrix(shape.tokens, shape.rank, gap: 1, random: &random), naive = Self.dropped(x)
        let h = run(kernels, shape, before: before) { execution, h, mask in
            a.values.withUnsafeBufferPointer { values in
                var factor = loram_thin_factor(a: values.baseAddress, a_stride: a.stride, rank: shape.rank, h: h, h_stride: before.stride, scale: 0.5)
                return loram_thin_project(execution, x.values, x.stride, shape.tokens, shape.width, &factor, 1, mask)
            }
        }
        let comparison = Comparison(h, start: nil, before: before) { row, column in ExactSum().adding(shape.width, scale: 0.5, { naive[row, $0] }, { a[column, $0] }) }
        #expect(comparison.error < Self.tolerance)
        #expect(comparison.isContained)
    }

    @Test(arguments: ThinProductTests.sets, shapes) func gradientA(kernels: KernelCase, shape: Shape) {
        var random = LinearCongruentialGenerator(seed: 12)
        let x = Matrix(shape.tokens, shape.width, gap: 1, random: &random), dh = Matrix(shape.tokens, shape.rank, gap: 2, random: &random)
        let before = Matrix(shape.rank, shape.width, gap: 3, random: &random), naive = Self.dropped(x)
        let da = run(kernels, shape, before: before) { execution, da, mask in
            loram_thin_gradient_a(execution, da, before.stride, dh.values, dh.stride, x.values, x.stride, shape.tokens, shape.width, shape.rank, -2, mask)
        }
        let comparison = Comparison(da, start: before, before: before) { row, column in ExactSum().adding(shape.tokens, scale: -2, { dh[$0, row] }, { naive[$0, column] }) }
        #expect(comparison.error < Self.tolerance)
        #expect(comparison.isContained)
    }

    @Test(arguments: ThinProductTests.sets, shapes) func add(kernels: KernelCase, shape: Shape) {
        var random = LinearCongruentialGenerator(seed: 13)
        let dh = Matrix(shape.tokens, shape.rank, gap: 2, random: &random), a = Matrix(shape.rank, shape.width, gap: 1, random: &random)
        let before = Matrix(shape.tokens, shape.width, gap: 3, random: &random), keys = Self.rowKeys(shape.tokens)
        let dx = run(kernels, shape, before: before) { execution, dx, mask in
            loram_thin_add(execution, dx, before.stride, dh.values, dh.stride, a.values, a.stride, shape.tokens, shape.width, shape.rank, mask)
        }
        let comparison = Comparison(dx, start: before, before: before) { row, column in
            ExactSum().adding(shape.rank, scale: Double(Self.factor(keys[row], column)), { dh[row, $0] }, { a[$0, column] })
        }
        #expect(comparison.error < Self.tolerance)
        #expect(comparison.isContained)
    }
}

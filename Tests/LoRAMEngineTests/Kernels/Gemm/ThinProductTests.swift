import CLoRAMKernels
import TestSupport
import Testing

/// LoRA's thin products against a sum in f64, in the tasks' order and in a shuffled one.
@Suite struct ThinProductTests {
    struct Shape: CustomTestStringConvertible, Sendable {
        let tokens: Int, width: Int, rank: Int
        var testDescription: String { "\(tokens) x \(width), rank \(rank)" }
    }

    static let shapes = [
        Shape(tokens: 1, width: 1, rank: 1), Shape(tokens: 5, width: 17, rank: 3), Shape(tokens: 24, width: 130, rank: 8), Shape(tokens: 70, width: 259, rank: 16),
        Shape(tokens: 131, width: 64, rank: 9), Shape(tokens: 3, width: 2100, rank: 2), Shape(tokens: 26, width: 40, rank: 64), Shape(tokens: 5, width: 70, rank: 600), Shape(tokens: 0, width: 9, rank: 2),
        Shape(tokens: 4, width: 0, rank: 2),
    ]
    static let tolerance = 5e-7

    /// Runs body three times on copies of `before`; the bits must agree.
    private func run(_ kernels: KernelCase, _ shape: Shape, rank: Int, before: Matrix, _ body: (UnsafePointer<loram_execution>, UnsafeMutablePointer<Float>) -> loram_status) -> Matrix {
        let workers = 3
        let bytes = loram_thin_workspace(kernels.set, shape.tokens, shape.width, rank, Int32(workers))
        var results: [Matrix] = []
        for seed in [nil, 3, 4] as [UInt64?] {
            var result = before
            let status = withExecution(kernels, workers: workers, seed: seed, bytes: bytes) { execution in
                result.values.withUnsafeMutableBufferPointer { body(execution, $0.baseAddress!) }
            }
            #expect(status == LORAM_OK)
            results.append(result)
        }
        #expect(results.dropFirst().allSatisfy { $0.values.map(\.bitPattern) == results[0].values.map(\.bitPattern) })
        return results[0]
    }

    static let sets = KernelCase.all.filter { !$0.isBF16 }

    /// Two factors that share a reading of x and a result.
    @Test(arguments: sets, shapes) func project(kernels: KernelCase, shape: Shape) {
        var random = LinearCongruentialGenerator(seed: 1)
        let x = Matrix(shape.tokens, shape.width, gap: 2, random: &random)
        let first = Matrix(shape.rank, shape.width, gap: 1, random: &random), second = Matrix(shape.rank + 2, shape.width, random: &random)
        let before = Matrix(shape.tokens, 2 * shape.rank + 2, gap: 1, random: &random)
        let h = run(kernels, shape, rank: 2 * shape.rank + 2, before: before) { execution, h in
            first.values.withUnsafeBufferPointer { firstValues in
                second.values.withUnsafeBufferPointer { secondValues in
                    let factors = [
                        loram_thin_factor(a: firstValues.baseAddress, a_stride: first.stride, rank: shape.rank, h: h, h_stride: before.stride, scale: 0.5),
                        loram_thin_factor(a: secondValues.baseAddress, a_stride: second.stride, rank: shape.rank + 2, h: h + shape.rank, h_stride: before.stride, scale: -2),
                    ]
                    return loram_thin_project(execution, x.values, x.stride, shape.tokens, shape.width, factors, 2, nil)
                }
            }
        }
        let comparison = Comparison(h, start: nil, before: before) { row, column in
            column < shape.rank
                ? ExactSum().adding(shape.width, scale: 0.5, { x[row, $0] }, { first[column, $0] }) : ExactSum().adding(shape.width, scale: -2, { x[row, $0] }, { second[column - shape.rank, $0] })
        }
        #expect(comparison.error < Self.tolerance)
        #expect(comparison.isContained)
    }

    @Test(arguments: sets, shapes) func projectTransposed(kernels: KernelCase, shape: Shape) {
        var random = LinearCongruentialGenerator(seed: 2)
        let dy = Matrix(shape.tokens, shape.width, gap: 3, random: &random), b = Matrix(shape.width, shape.rank, gap: 1, random: &random)
        let before = Matrix(shape.tokens, shape.rank, gap: 2, random: &random)
        let dh = run(kernels, shape, rank: shape.rank, before: before) {
            loram_thin_project_transposed($0, $1, before.stride, dy.values, dy.stride, b.values, b.stride, shape.tokens, shape.width, shape.rank, 0.25)
        }
        let comparison = Comparison(dh, start: nil, before: before) { row, column in ExactSum().adding(shape.width, scale: 0.25, { dy[row, $0] }, { b[$0, column] }) }
        #expect(comparison.error < Self.tolerance)
        #expect(comparison.isContained)
    }

    @Test(arguments: sets, shapes) func gradients(kernels: KernelCase, shape: Shape) {
        var random = LinearCongruentialGenerator(seed: 3)
        let wide = Matrix(shape.tokens, shape.width, gap: 1, random: &random), thin = Matrix(shape.tokens, shape.rank, gap: 2, random: &random)
        let beforeA = Matrix(shape.rank, shape.width, gap: 3, random: &random), beforeB = Matrix(shape.width, shape.rank, gap: 1, random: &random)
        let a = run(kernels, shape, rank: shape.rank, before: beforeA) {
            loram_thin_gradient_a($0, $1, beforeA.stride, thin.values, thin.stride, wide.values, wide.stride, shape.tokens, shape.width, shape.rank, 0.5, nil)
        }
        let b = run(kernels, shape, rank: shape.rank, before: beforeB) {
            loram_thin_gradient_b($0, $1, beforeB.stride, wide.values, wide.stride, thin.values, thin.stride, shape.tokens, shape.width, shape.rank, 0.5)
        }
        let forA = Comparison(a, start: beforeA, before: beforeA) { row, column in ExactSum().adding(shape.tokens, scale: 0.5, { thin[$0, row] }, { wide[$0, column] }) }
        let forB = Comparison(b, start: beforeB, before: beforeB) { row, column in ExactSum().adding(shape.tokens, scale: 0.5, { wide[$0, row] }, { thin[$0, column] }) }
        #expect(forA.error < Self.tolerance && forB.error < Self.tolerance)
        #expect(forA.isContained && forB.isContained)
    }
}

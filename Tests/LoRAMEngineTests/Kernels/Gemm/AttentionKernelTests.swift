import CLoRAMKernels
import Foundation
import TestSupport
import Testing

/// Blocked attention against a plain one in f64: a key-value head and the query heads that read it, inside wider rows, as a segment that
/// starts behind other tokens.
@Suite struct AttentionKernelTests {
    struct Shape: CustomTestStringConvertible, Sendable {
        let tokens: Int, headDim: Int, group: Int
        var testDescription: String { "\(tokens) tokens, head size \(headDim), group \(group)" }
    }

    static let shapes = [
        Shape(tokens: 1, headDim: 6, group: 1), Shape(tokens: 1, headDim: 64, group: 3), Shape(tokens: 127, headDim: 80, group: 1), Shape(tokens: 128, headDim: 64, group: 2),
        Shape(tokens: 129, headDim: 6, group: 4), Shape(tokens: 129, headDim: 128, group: 1), Shape(tokens: 300, headDim: 64, group: 2), Shape(tokens: 300, headDim: 6, group: 1),
        Shape(tokens: 513, headDim: 6, group: 2), Shape(tokens: 700, headDim: 16, group: 1),
    ]
    static let problems = shapes.map(Problem.init)

    /// Rounding of a probability or of a score's gradient is relative to what it multiplies.
    static func tolerance(_ kernels: KernelCase) -> Double { kernels.isBF16 ? 0x1p-7 : 1e-5 }

    @Test(arguments: KernelCase.all, shapes.indices) func forward(kernels: KernelCase, index: Int) {
        let problem = Self.problems[index], found = problem.run(kernels)
        #expect(problem.outputs.largestError(found.o, kernels) < Self.tolerance(kernels))
        #expect(zip(found.lse.body, problem.lse).allSatisfy { abs(Double($0) - $1) < 1e-5 })
        #expect(found.o.isContained && found.lse.isContained && found.keptWorkspace)
        if kernels.isBF16 { #expect(found.o.body.allSatisfy { $0.bitPattern & 0xffff == 0 }) }
    }

    @Test(arguments: KernelCase.all, shapes.indices) func backward(kernels: KernelCase, index: Int) {
        let problem = Self.problems[index], found = problem.run(kernels)
        for (name, gradient, expected) in [("dq", found.dq, problem.queryGradients), ("dk", found.dk, problem.keyGradients), ("dv", found.dv, problem.valueGradients)] {
            #expect(expected.largestError(gradient, kernels) < Self.tolerance(kernels), "\(name)")
            #expect(gradient.isContained, "\(name)")
        }
    }

    // MARK: -

    /// Rows of `width` used elements, `gap` apart, behind some rows of another segment and before others; what is not the body is NaN.
    struct Rows {
        let count: Int, width: Int, stride: Int
        var values: [Float]
        private static let before = 3, after = 2

        init(_ count: Int, _ width: Int, gap: Int, _ body: [Float]? = nil) {
            (self.count, self.width, stride) = (count, width, width + gap)
            values = Array(repeating: .nan, count: (Self.before + count + Self.after) * stride)
            guard let body else { return }
            for row in 0..<count { values.replaceSubrange(start + row * stride..<start + row * stride + width, with: body[row * width..<(row + 1) * width]) }
        }

        var start: Int { Self.before * stride }
        var body: [Float] { (0..<count).flatMap { values[start + $0 * stride..<start + $0 * stride + width] } }

        var isContained: Bool {
            values.indices.allSatisfy { index in
                let row = (index - start) / stride
                return index >= start && row < count && (index - start) % stride < width ? !values[index].isNaN : values[index].isNaN
            }
        }
    }

    /// Sums in f64, and the magnitudes of what was added.
    struct Exact: Sendable {
        var sum: [Double], magnitude: [Double]

        init(_ count: Int) { (sum, magnitude) = (Array(repeating: 0, count: count), Array(repeating: 0, count: count)) }

        mutating func add(_ index: Int, _ value: Double, _ size: Double? = nil) {
            sum[index] += value
            magnitude[index] += size ?? abs(value)
        }

        func largestError(_ found: Rows, _ kernels: KernelCase) -> Double {
            let body = found.body
            return sum.indices.map { index in
                let error = abs(Double(body[index]) - sum[index]) / (magnitude[index] + 1e-6)
                return error.isNaN ? .infinity : error
            }.max() ?? 0
        }
    }

    struct Results {
        var o, lse, dq, dk, dv: Rows
        var keptWorkspace: Bool
    }

    /// Inputs, which are bf16 values, and the exact results.
    struct Problem: Sendable {
        let shape: Shape
        let scale: Float
        let q, k, v, gradient: [Float]
        private(set) var outputs, queryGradients, keyGradients, valueGradients: Exact
        private(set) var lse: [Double]

        init(_ shape: Shape) {
            self.shape = shape
            let T = shape.tokens, d = shape.headDim, G = shape.group
            var random = LinearCongruentialGenerator(seed: UInt64(1000 * T + d))
            func values(_ count: Int, _ size: Float) -> [Float] {
                (0..<count).map { _ in roundedToBF16(size * (Float(random.below(1 << 20)) / Float(1 << 19) - 1)) }
            }
            scale = 1 / Float(d).squareRoot()
            // Scores of several units, so that some probabilities are large and some small.
            (q, k, v, gradient) = (values(T * G * d, 3), values(T * d, 3), values(T * d, 1), values(T * G * d, 1))
            (outputs, queryGradients) = (Exact(T * G * d), Exact(T * G * d))
            (keyGradients, valueGradients) = (Exact(T * d), Exact(T * d))
            lse = Array(repeating: 0, count: T * G)
            let q = q.map(Double.init), k = k.map(Double.init), v = v.map(Double.init), gradient = gradient.map(Double.init)
            func dot(_ a: [Double], _ i: Int, _ b: [Double], _ j: Int) -> Double {
                var sum = 0.0
                for c in 0..<d { sum += a[i + c] * b[j + c] }
                return sum
            }
            for row in 0..<T * G {
                let position = row / G, at = row * d
                let scores = (0...position).map { Double(scale) * dot(q, at, k, $0 * d) }, top = scores.max()!
                let denominator = scores.reduce(0) { $0 + exp($1 - top) }
                lse[row] = top + log(denominator)
                let probabilities = scores.map { exp($0 - lse[row]) }, arriving = (0...position).map { dot(gradient, at, v, $0 * d) }
                let delta = zip(probabilities, arriving).reduce(0) { $0 + $1.0 * $1.1 }
                for key in 0...position {
                    let probability = probabilities[key], change = Double(scale) * probability * (arriving[key] - delta)
                    let size = Double(scale) * probability * (abs(arriving[key]) + abs(delta))
                    for c in 0..<d {
                        outputs.add(at + c, probability * v[key * d + c])
                        valueGradients.add(key * d + c, probability * gradient[at + c])
                        queryGradients.add(at + c, change * k[key * d + c], size * abs(k[key * d + c]))
                        keyGradients.add(key * d + c, change * q[at + c], size * abs(q[at + c]))
                    }
                }
            }
        }

        func run(_ kernels: KernelCase) -> Results {
            let T = shape.tokens, d = shape.headDim, G = shape.group
            let q = Rows(T, G * d, gap: 5, q), k = Rows(T, d, gap: 3, k), v = Rows(T, d, gap: 3, v), gradient = Rows(T, G * d, gap: 5, gradient)
            let delta = Rows(T, G, gap: 1, (0..<T * G).map { row in Float((0..<d).reduce(0.0) { $0 + outputs.sum[row * d + $1] * Double(self.gradient[row * d + $1]) }) })
            var results = Results(
                o: Rows(T, G * d, gap: 5), lse: Rows(T, G, gap: 1), dq: Rows(T, G * d, gap: 5), dk: Rows(T, d, gap: 3), dv: Rows(T, d, gap: 3), keptWorkspace: true)
            var attention = loram_attention(
                kernels: kernels.set, compute: kernels.compute, head_dim: d, scale: scale, query_stride: q.stride, key_stride: k.stride,
                statistic_stride: delta.stride)
            let bytes = loram_attention_workspace(kernels.set, kernels.compute, d)
            let workspace = UnsafeMutableRawPointer.allocate(byteCount: bytes + 64, alignment: 64)
            defer { workspace.deallocate() }
            workspace.initializeMemory(as: UInt8.self, repeating: 0xff, count: bytes + 64)
            q.values.withUnsafeBufferPointer { qs in
                for head in 0..<G {
                    for first in stride(from: 0, to: T, by: Int(LORAM_ATTENTION_BLOCK)) {
                        let row = q.start + first * q.stride + head * d, count = min(Int(LORAM_ATTENTION_BLOCK), T - first)
                        results.o.values.withUnsafeMutableBufferPointer { o in
                            results.lse.values.withUnsafeMutableBufferPointer { lse in
                                k.values.withUnsafeBufferPointer { ks in
                                    v.values.withUnsafeBufferPointer { vs in
                                        loram_attention_forward(
                                            &attention, workspace, o.baseAddress! + row, lse.baseAddress! + delta.start + first * delta.stride + head,
                                            qs.baseAddress! + row, ks.baseAddress! + k.start, vs.baseAddress! + v.start, first, count)
                                    }
                                }
                            }
                        }
                    }
                }
            }
            let lse = results.lse.values
            withPointers(&results.dq.values, &results.dk.values, &results.dv.values) { dq, dk, dv in
                withPointers(gradient.values, delta.values, lse) { gradients, deltas, lses in
                    withPointers(q.values, k.values, v.values) { qs, ks, vs in
                        loram_attention_backward(
                            &attention, workspace, dq + q.start, dk + k.start, dv + v.start, gradients + gradient.start, deltas + delta.start,
                            lses + delta.start, qs + q.start, ks + k.start, vs + v.start, T, G)
                    }
                }
            }
            results.keptWorkspace = (bytes..<bytes + 64).allSatisfy { workspace.load(fromByteOffset: $0, as: UInt8.self) == 0xff }
            return results
        }
    }
}

private func withPointers(
    _ a: inout [Float], _ b: inout [Float], _ c: inout [Float], _ body: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Void
) {
    a.withUnsafeMutableBufferPointer { a in
        b.withUnsafeMutableBufferPointer { b in
            c.withUnsafeMutableBufferPointer { c in body(a.baseAddress!, b.baseAddress!, c.baseAddress!) }
        }
    }
}

private func withPointers(_ a: [Float], _ b: [Float], _ c: [Float], _ body: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>) -> Void) {
    a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
            c.withUnsafeBufferPointer { c in body(a.baseAddress!, b.baseAddress!, c.baseAddress!) }
        }
    }
}

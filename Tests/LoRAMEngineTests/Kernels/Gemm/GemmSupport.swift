import CLoRAMKernels
import TestSupport
import Testing

/// One kernel set in one compute type.
struct KernelCase: CustomTestStringConvertible, Sendable {
    let name: String
    let compute: loram_compute

    var set: OpaquePointer { loram_kernels_named(name) }
    var isBF16: Bool { compute == LORAM_COMPUTE_BF16 }
    var testDescription: String { "\(name), \(isBF16 ? "bf16" : "f32")" }

    /// Those that this CPU can run.
    static let all = availableNames.flatMap { name in [LORAM_COMPUTE_F32, LORAM_COMPUTE_BF16].map { KernelCase(name: name, compute: $0) } }
    static let availableNames = (0..<loram_kernels_count()).map { String(cString: loram_kernels_name(loram_kernels_at($0))) }.filter { loram_kernels_named($0) != nil }
}

/// A pool that runs its tasks one after the other in shuffled order, each as a random worker.
final class ShuffledPool {
    let workers: Int
    private var random: LinearCongruentialGenerator

    init(workers: Int, seed: UInt64) {
        self.workers = workers
        random = LinearCongruentialGenerator(seed: seed)
    }

    static let run: loram_parallel_for = { pool, count, task, context in
        let pool = Unmanaged<ShuffledPool>.fromOpaque(pool!).takeUnretainedValue()
        for index in (0..<count).shuffled(using: &pool.random) { task?(context, index, Int32(pool.random.below(pool.workers))) }
    }
}

/// Runs `body` with an execution whose workspace has exactly the size asked for, at an odd address. Without workers the tasks run in
/// their order.
func withExecution(_ kernels: KernelCase, workers: Int, seed: UInt64? = nil, bytes: Int, _ body: (UnsafePointer<loram_execution>) -> loram_status) -> loram_status {
    let workspace = UnsafeMutableRawPointer.allocate(byteCount: bytes + 3, alignment: 64)
    defer { workspace.deallocate() }
    workspace.initializeMemory(as: UInt8.self, repeating: 0xff, count: bytes + 3)
    let pool = ShuffledPool(workers: workers, seed: seed ?? 0)
    var execution = loram_execution(
        kernels: kernels.set, compute: kernels.compute, parallel_for: seed == nil ? nil : ShuffledPool.run, pool: Unmanaged.passUnretained(pool).toOpaque(),
        workers: Int32(workers), workspace: workspace + 3, workspace_bytes: bytes)
    return withExtendedLifetime(pool) { body(&execution) }
}

/// A row-major matrix of which rows lie `stride` elements apart; what lies between belongs to nobody.
struct Matrix {
    let rows: Int, columns: Int, stride: Int
    var values: [Float]

    init(_ rows: Int, _ columns: Int, gap: Int = 0, random: inout LinearCongruentialGenerator) {
        self.rows = rows
        self.columns = columns
        stride = columns + gap
        values = (0..<rows * stride).map { _ in Float(random.below(1 << 24)) / Float(1 << 23) - 1 }
    }

    subscript(row: Int, column: Int) -> Float { values[row * stride + column] }
}

func roundedToBF16(_ value: Float) -> Float {
    let bits = value.bitPattern
    return Float(bitPattern: (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// A weight as a file may hold it: any element type, any first byte; `values` are what it decodes to.
struct StoredWeight {
    /// `nf4BF16`: NF4 of a weight that was bf16, to which its values are rounded.
    enum Kind: CaseIterable, Sendable { case f32, bf16, f16, nf4, nf4Double, nf4BF16 }

    let rows: Int, columns: Int
    let values: [Float]
    private let element: loram_element, stride: Int, offset: Int
    private var bytes: [UInt8], absmax: [UInt8] = [], nested: [UInt8] = [], nestedOffset: Float = 0, rounds: Int32 = 0

    init(_ kind: Kind, rows: Int, columns: Int, gap: Int, offset: Int, random: inout LinearCongruentialGenerator) {
        self.rows = rows
        self.columns = columns
        self.offset = offset
        stride = columns + gap
        let dense = Matrix(rows, columns, random: &random).values
        func spread<T>(_ elements: [T]) -> [UInt8] {
            var rowsOfBytes = [UInt8](repeating: 0xee, count: offset)
            for row in 0..<rows {
                rowsOfBytes += Array(elements[row * columns..<(row + 1) * columns]).withUnsafeBytes(Array.init)
                if row + 1 < rows { rowsOfBytes += [UInt8](repeating: 0xee, count: gap * MemoryLayout<T>.size) }
            }
            return rowsOfBytes
        }
        switch kind {
        case .f32:
            (element, values) = (LORAM_ELEMENT_F32, dense)
            bytes = spread(dense)
        case .bf16:
            (element, values) = (LORAM_ELEMENT_BF16, dense.map(roundedToBF16))
            bytes = spread(dense.map { UInt16(roundedToBF16($0).bitPattern >> 16) })
        case .f16:
            let halves = dense.map(Float16.init)
            (element, values) = (LORAM_ELEMENT_F16, halves.map(Float.init))
            bytes = spread(halves)
        case .nf4, .nf4Double, .nf4BF16:
            element = LORAM_ELEMENT_NF4
            let count = rows * columns, blocks = (count + 63) / 64
            var codes = [UInt8](repeating: 0xee, count: offset + (count + 1) / 2)
            var scales = [Float](repeating: 0, count: blocks)
            _ = codes.withUnsafeMutableBytes { loram_nf4_quantize("portable", dense, LORAM_ELEMENT_F32, count, $0.baseAddress! + offset, &scales) }
            let padding = [UInt8](repeating: 0xee, count: offset)
            var absmax = padding + scales.withUnsafeBytes(Array.init), nested: [UInt8] = [], mean: Float = 0
            if kind == .nf4Double {
                mean = loram_nf4_mean(scales, blocks, 1)
                absmax = padding + [UInt8](repeating: 0, count: blocks)
                nested = padding + [UInt8](repeating: 0, count: (blocks + 255) / 256 * 4)
                absmax.withUnsafeMutableBytes { absmax in
                    nested.withUnsafeMutableBytes { loram_nf4_quantize_scales(scales, blocks, mean, LORAM_NF4_NEAREST, absmax.baseAddress! + offset, $0.baseAddress! + offset) }
                }
            }
            var decoded = [Float](repeating: 0, count: count)
            Self.withScales(absmax, nested, mean, offset) { scales in
                codes.withUnsafeBytes { _ = loram_nf4_dequantize("portable", $0.baseAddress! + offset, scales, count, 0, count, &decoded, LORAM_ELEMENT_F32) }
            }
            rounds = kind == .nf4BF16 ? 1 : 0
            (bytes, self.absmax, self.nested, nestedOffset, values) = (codes, absmax, nested, mean, rounds == 1 ? decoded.map(roundedToBF16) : decoded)
        }
    }

    private static func withScales(_ absmax: [UInt8], _ nested: [UInt8], _ nestedOffset: Float, _ offset: Int, _ body: (UnsafePointer<loram_nf4_scales>) -> Void) {
        absmax.withUnsafeBytes { absmax in
            nested.withUnsafeBytes { nested in
                var scales = loram_nf4_scales(
                    absmax: absmax.count > 0 ? absmax.baseAddress! + offset : nil, nested_absmax: nested.count > 0 ? nested.baseAddress! + offset : nil,
                    nested_map: loram_nf4_dynamic_map(), nested_offset: nestedOffset, rounds_bf16: 0)
                body(&scales)
            }
        }
    }

    func withWeight(_ body: (UnsafePointer<loram_weight>) -> loram_status) -> loram_status {
        var status = LORAM_OK
        Self.withScales(absmax, nested, nestedOffset, offset) { scales in
            bytes.withUnsafeBytes {
                var scales = scales.pointee
                scales.rounds_bf16 = rounds
                var weight = loram_weight(element: element, rows: rows, columns: columns, data: $0.baseAddress! + offset, row_stride: stride, scales: scales)
                status = body(&weight)
            }
        }
        return status
    }
}

/// Largest |got - expected| / (sum of the magnitudes that were added) over the elements of a result, and whether what lies between its
/// rows is untouched.
struct Comparison {
    private(set) var error = 0.0
    private(set) var isContained = true

    /// `terms(row, column)` are the products whose sum is expected on top of `start`.
    init(_ got: Matrix, start: Matrix?, before: Matrix, terms: (Int, Int) -> ExactSum) {
        for row in 0..<got.rows {
            for column in 0..<got.columns {
                let exact = terms(row, column)
                let first = start.map { Double($0[row, column]) } ?? 0
                let difference = abs(Double(got[row, column]) - exact.sum - first) / (exact.magnitude + abs(first) + 1e-20)
                error = difference.isNaN ? .infinity : max(error, difference)
            }
            for column in got.columns..<got.stride where got[row, column].bitPattern != before[row, column].bitPattern { isContained = false }
        }
    }
}

/// A sum, and the sum of the magnitudes of what was added.
struct ExactSum {
    var sum = 0.0, magnitude = 0.0

    /// Adds scale * left(k) * right(k) for k in 0 ..< count.
    func adding(_ count: Int, scale: Double = 1, _ left: (Int) -> Float, _ right: (Int) -> Float) -> ExactSum {
        var result = self
        for k in 0..<count {
            let product = scale * Double(left(k)) * Double(right(k))
            result.sum += product
            result.magnitude += abs(product)
        }
        return result
    }
}

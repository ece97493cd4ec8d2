import Foundation
import LoRAMEngine

/// A tensor of which two stages disagree.
public enum GradientNormError: DiagnosedError, Equatable {
    case countMismatch(name: String, expected: Int, found: Int)

    public var exitCode: ExitStatus { .failure }

    public var description: String {
        switch self {
        case .countMismatch(let name, let expected, let found):
            "\(name) has \(expected) elements on one stage and \(found) on another: start all ranks with the same model and recipe"
        }
    }
}

/// The squared norm of the whole model's gradient, the same bits on every grid: f64 sums of squares over fixed blocks of 65,536
/// elements of each tensor, added in the order of tensor names.
///
/// Each block is summed by one stage; the sums of all stages are brought together exactly (every other stage adds zero) before
/// they are added up.
public final class GradientNorm {
    /// A tensor of this rank: where it lies in a gradient buffer, and in which where the rank has several.
    public struct Tensor: Sendable, Equatable {
        public let name: String
        public let offset: Int
        public let count: Int
        public let buffer: Int

        public init(name: String, offset: Int, count: Int, buffer: Int = 0) {
            self.name = name
            self.offset = offset
            self.count = count
            self.buffer = buffer
        }
    }

    public static let blockCount = 65_536

    /// A block that this stage sums: its place in the gradient buffer and among all blocks of the model.
    private struct Block {
        let buffer: Int
        let offset: Int
        let count: Int
        let index: Int
    }

    private let summing: Communicator
    private let blocks: [Block]
    /// One sum of squares a block of the model, in the order of names.
    private let sums: UnsafeMutablePointer<Double>
    private let sumCount: Int
    private let request = Request()

    /// All stages of `pipeline` call this, each with its own tensors. A tensor that two stages hold (a tied embedding) counts once,
    /// on the first of them. Throws `GradientNormError` or `MPIError`.
    ///
    /// - Parameters:
    ///   - parts: what this rank has of each of its gradient buffers; blocks lie in it whole or not at all. nil: everything.
    ///   - summing: ranks that have all blocks together, each once; the pipeline where each of its ranks has everything.
    public init(tensors: [Tensor], pipeline: Communicator, parts: [[Range<Int>]]? = nil, summing: Communicator? = nil) throws {
        let list = tensors.map { "\($0.count) \($0.name)" }.joined(separator: "\n")
        let lists = try pipeline.allGather(Data(list.utf8))
        var counts: [String: (count: Int, stage: Int)] = [:]
        for (stage, list) in lists.enumerated() {
            for line in list.split(separator: UInt8(ascii: "\n")) {
                let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 1)
                let count = Int(String(decoding: parts[0], as: UTF8.self)) ?? 0
                let name = String(decoding: parts[1], as: UTF8.self)
                if let known = counts[name] {
                    guard known.count == count else {
                        throw GradientNormError.countMismatch(name: name, expected: known.count, found: count)
                    }
                } else {
                    counts[name] = (count, stage)
                }
            }
        }
        // By bytes, which no locale changes.
        var firstBlock: [String: Int] = [:]
        var total = 0
        for (name, extent) in counts.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            firstBlock[name] = total
            total += (extent.count + Self.blockCount - 1) / Self.blockCount
        }
        var blocks: [Block] = []
        let own = parts?.map { $0.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound } }
        for tensor in tensors where counts[tensor.name]?.stage == pipeline.rank {
            for (index, start) in stride(from: 0, to: tensor.count, by: Self.blockCount).enumerated() {
                if let own, !Self.contains(own[tensor.buffer], tensor.offset + start) { continue }
                blocks.append(
                    Block(
                        buffer: tensor.buffer, offset: tensor.offset + start, count: min(Self.blockCount, tensor.count - start),
                        index: firstBlock[tensor.name]! + index))
            }
        }
        self.summing = summing ?? pipeline
        self.blocks = blocks
        sumCount = total
        sums = .allocate(capacity: max(1, total))
        sums.initialize(repeating: 0, count: max(1, total))
    }

    deinit { sums.deallocate() }

    /// Whether one of the ranges, which ascend, holds the element.
    private static func contains(_ ranges: [Range<Int>], _ element: Int) -> Bool {
        var low = 0, high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= element { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(element)
    }

    /// Blocks of this stage.
    public var localBlockCount: Int { blocks.count }

    /// All ranks that sum call this once a step, after `begin` and after `sumBlocks` has covered this stage's blocks.
    public func squaredNorm() throws -> Double {
        try summing.startAllReduce(sums, count: sumCount, .sum, request: request)
        try request.wait()
        var total = 0.0
        for index in 0..<sumCount { total += sums[index] }
        return total
    }

    /// A new step: all sums are zero.
    public func begin() { sums.update(repeating: 0, count: sumCount) }

    /// Sums some of this stage's blocks. Threads may do different blocks at the same time: the result depends on none of that.
    public func sumBlocks(_ range: Range<Int>, of gradients: [UnsafePointer<Float>]) {
        for block in blocks[range] {
            sums[block.index] = sumOfSquares(gradients[block.buffer] + block.offset, count: block.count)
        }
    }

    /// The whole of it on one thread.
    public func squaredNorm(of gradient: UnsafePointer<Float>) throws -> Double {
        begin()
        sumBlocks(0..<blocks.count, of: [gradient])
        return try squaredNorm()
    }
}

/// Sum of squares in f64: eight running sums, of the elements i = l mod 8, then those in order.
func sumOfSquares(_ values: UnsafePointer<Float>, count: Int) -> Double {
    var lanes = SIMD8<Double>(repeating: 0)
    var index = 0
    while index &+ 8 <= count {
        let value = SIMD8<Double>(UnsafeRawPointer(values + index).loadUnaligned(as: SIMD8<Float>.self))
        lanes += value * value
        index &+= 8
    }
    var lane = 0
    while index < count {
        let value = Double(values[index])
        lanes[lane] += value * value
        index &+= 1
        lane &+= 1
    }
    var sum = 0.0
    for lane in 0..<8 { sum += lanes[lane] }
    return sum
}

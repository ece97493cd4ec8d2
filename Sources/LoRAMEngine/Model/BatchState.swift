internal import CLoRAMKernels

/// One micro-batch in the fixed buffers of a stash slot: ids, labels, positions, dropout keys and the blocks of attention.
final class BatchState {
    /// Query tokens start ..< start + count of the segment that begins at `segmentStart`.
    struct QueryBlock {
        let start: Int
        let count: Int
        let segmentStart: Int
    }

    static let queryBlockSize = Int(LORAM_ATTENTION_BLOCK)

    private(set) var tokenCount = 0
    private(set) var targetCount = 0
    private(set) var segments: [MicroBatch.Segment] = []
    private(set) var queryBlocks: [QueryBlock] = []
    let tokenIDs_N: UnsafeMutablePointer<Int32>
    let positions_N: UnsafeMutablePointer<Int32>
    /// Sample and position in the sample, which key the dropout of a token's row.
    let rowKeys_N: UnsafeMutablePointer<UInt64>
    /// Rows with a label, in order, then their labels and row keys.
    let targetRows_M: UnsafeMutablePointer<Int32>
    let targetLabels_M: UnsafeMutablePointer<Int32>
    let targetRowKeys_M: UnsafeMutablePointer<UInt64>
    private let capacity: Int

    /// Slices of one slot's buffers.
    struct Layout {
        let tokenIDs, positions, rowKeys, targetRows, targetLabels, targetRowKeys: ArenaLayout.Slice

        init(_ layout: inout ArenaLayout, capacity: Int) {
            tokenIDs = layout.reserve(capacity, of: Int32.self)
            positions = layout.reserve(capacity, of: Int32.self)
            rowKeys = layout.reserve(capacity, of: UInt64.self)
            targetRows = layout.reserve(capacity, of: Int32.self)
            targetLabels = layout.reserve(capacity, of: Int32.self)
            targetRowKeys = layout.reserve(capacity, of: UInt64.self)
        }
    }

    init(_ arena: Arena, _ layout: Layout, capacity: Int) {
        self.capacity = capacity
        tokenIDs_N = arena.pointer(layout.tokenIDs, as: Int32.self)
        positions_N = arena.pointer(layout.positions, as: Int32.self)
        rowKeys_N = arena.pointer(layout.rowKeys, as: UInt64.self)
        targetRows_M = arena.pointer(layout.targetRows, as: Int32.self)
        targetLabels_M = arena.pointer(layout.targetLabels, as: Int32.self)
        targetRowKeys_M = arena.pointer(layout.targetRowKeys, as: UInt64.self)
        // Sized for the worst case at once: a step must not grow anything.
        segments.reserveCapacity(capacity)
        queryBlocks.reserveCapacity(capacity)
    }

    func load(_ batch: MicroBatch, vocabularySize: Int, positionCount: Int) throws {
        guard batch.tokenCount <= capacity else { throw ModelError.microBatchTooLarge(tokens: batch.tokenCount, planned: capacity) }
        tokenCount = batch.tokenCount
        targetCount = 0
        for sample in batch.samples {
            for offset in 0..<sample.count { rowKeys_N[sample.start + offset] = sample.sampleID << 20 &+ UInt64(offset) }
        }
        for row in 0..<tokenCount {
            let id = batch.tokenIDs[row], label = batch.labels[row]
            guard id >= 0, Int(id) < vocabularySize else { throw ModelError.tokenOutOfRange(Int(id), vocabularySize: vocabularySize) }
            tokenIDs_N[row] = id
            guard label != MicroBatch.ignoredLabel else { continue }
            guard label >= 0, Int(label) < vocabularySize else { throw ModelError.tokenOutOfRange(Int(label), vocabularySize: vocabularySize) }
            targetRows_M[targetCount] = Int32(row)
            targetLabels_M[targetCount] = label
            targetRowKeys_M[targetCount] = rowKeys_N[row]
            targetCount += 1
        }
        segments.removeAll(keepingCapacity: true)
        queryBlocks.removeAll(keepingCapacity: true)
        for segment in batch.segments {
            guard segment.count <= positionCount else { throw ModelError.segmentTooLong(segment.count, positions: positionCount) }
            segments.append(segment)
            for offset in 0..<segment.count { positions_N[segment.start + offset] = Int32(offset) }
            for start in stride(from: 0, to: segment.count, by: Self.queryBlockSize) {
                queryBlocks.append(
                    QueryBlock(start: segment.start + start, count: min(Self.queryBlockSize, segment.count - start), segmentStart: segment.start))
            }
        }
    }
}

public enum ModelError: DiagnosedError {
    case microBatchTooLarge(tokens: Int, planned: Int)
    case tokenOutOfRange(Int, vocabularySize: Int)
    case segmentTooLong(Int, positions: Int)

    public var description: String {
        switch self {
        case .microBatchTooLarge(let tokens, let planned):
            "a micro-batch has \(tokens) tokens where the step was planned for \(planned): a sample is longer than data.length"
        case .tokenOutOfRange(let id, let size):
            "token id \(id) is outside the model's vocabulary of \(size): the data or the tokenizer belong to another model"
        case .segmentTooLong(let count, let positions):
            "a document of \(count) tokens is longer than the \(positions) positions planned: raise the window length"
        }
    }
}

import Foundation
internal import CLoRAMKernels

/// Reads a safetensors file of any kind and stores it, packed or plain, as a pipeline: while the pool reads, splits and compresses one
/// batch of frames, the batch before is written and hashed.
///
/// Memory: two batches, at most 260 MiB however many threads there are.
package struct FilePacker: Sendable {
    let codec: Codec
    /// Also SHA-256 of the plain bytes.
    let hashes: Bool
    let pool: ThreadPool
    private let encoders: [FrameEncoder]
    private let batches: [Batch]
    private let frameByteCount = FrameFormat.defaultByteCount

    /// - Throws: `CompressionError.noContext`.
    package init(codec: Codec, hashes: Bool, pool: ThreadPool) throws {
        self.codec = codec
        self.hashes = hashes
        self.pool = pool
        let method = FrameFormat.Method(codec), frameByteCount = frameByteCount
        encoders = try (0..<pool.threadCount).map { _ in try FrameEncoder(method: method, frameByteCount: frameByteCount) }
        let frames = min(max(2 * pool.threadCount, 16), 64)
        batches = (0..<2).map { _ in Batch(frames: frames, frameByteCount: frameByteCount, packs: codec != .none) }
    }

    /// - Parameters:
    ///   - file: what is read.
    ///   - name: of the plain file.
    ///   - output: nil: nothing is written, all is read and hashed.
    ///   - progress: called with plain bytes done since the last call.
    /// - Returns: what checkpoint.json says of the file; without sections for codec `none`.
    /// - Throws: errors of reading; `FileError.cannotWrite`. The output is not finished then.
    package func pack(_ file: any TensorFile, name: String, to output: OutputFile?, progress: (Int) throws -> Void) throws -> PackedRecord {
        let headerBytes = file.headerBytes
        var record = PackedRecord(
            name: name, byteCount: file.byteCount, sha256: nil, codec: codec, storedByteCount: 0, frameByteCount: frameByteCount,
            sections: [.init(tensor: nil, byteCount: headerBytes.count)] + file.tensors.map { .init(tensor: $0, byteCount: $0.byteCount) })
        let sink = Sink(output: output, hashes: hashes)
        var cursor = Cursor(record: record, frameByteCount: frameByteCount)
        var turn = 0
        do {
            while cursor.fill(batches[turn]) {
                let batch = batches[turn]
                compress(batch, file, headerBytes, record)
                try sink.wait()
                try batch.requireSuccess()
                if codec != .none { batch.add(to: &record) }
                sink.consume(batch, plain: codec == .none)
                try progress(batch.byteCount)
                turn = 1 - turn
            }
            try sink.wait()
        } catch {
            // The sink still uses a batch.
            try? sink.wait()
            throw error
        }
        if codec == .zstd, let output { sink.storedByteCount += try SeekTable.write(record, to: output) }
        record.storedByteCount = sink.storedByteCount
        record.sha256 = sink.hash
        if codec == .none { record.sections = [] }
        return record
    }

    private func compress(_ batch: Batch, _ file: any TensorFile, _ headerBytes: [UInt8], _ record: PackedRecord) {
        pool.run(batch.count) { index, worker in
            let slot = batch.slots[index], range = slot.range
            do {
                if slot.section == 0 {
                    headerBytes.withUnsafeBytes { slot.plain.base.copyMemory(from: $0.baseAddress! + range.lowerBound, byteCount: range.count) }
                } else {
                    try file.read(slot.section - 1, range, into: slot.plain.base)
                    file.release(slot.section - 1, range)
                }
                guard codec != .none else { return slot.stored = range.count }
                let format = record.format(slot.section)
                slot.stored = try encoders[worker].encode(
                    slot.plain.base, count: range.count, format: format, into: slot.packed.base, capacity: slot.packed.count, sizes: slot.sizes)
                slot.planeCount = format.planeCount
                slot.hash = loram_xxh64(slot.packed.base, slot.stored)
            } catch {
                slot.failure = error
            }
        }
    }
}

extension FrameFormat.Method {
    init(_ codec: Codec) { self = codec == .zstd ? .search : .entropy }
}

/// Goes over a file's frames in order.
private struct Cursor {
    let record: PackedRecord
    let frameByteCount: Int
    var section = 0
    var start = 0

    init(record: PackedRecord, frameByteCount: Int) {
        self.record = record
        self.frameByteCount = frameByteCount
    }

    /// Puts the next frames into a batch; false at the end.
    mutating func fill(_ batch: FilePacker.Batch) -> Bool {
        batch.count = 0
        while section < record.sections.count, batch.count < batch.slots.count {
            let end = min(start + frameByteCount, record.sections[section].byteCount)
            if start < end { batch.add(section, start..<end) }
            start = end
            if start == record.sections[section].byteCount { (section, start) = (section + 1, 0) }
        }
        return batch.count > 0
    }
}

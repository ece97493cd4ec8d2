import Foundation

extension FilePacker {
    /// One frame on its way.
    ///
    /// Unchecked: filled by one worker, then read by the sink.
    final class Slot: @unchecked Sendable {
        let plain: ByteBuffer
        let packed: ByteBuffer
        let sizes: UnsafeMutablePointer<Int>
        fileprivate(set) var section = 0
        fileprivate(set) var range = 0..<0
        var planeCount = 1
        var stored = 0
        var hash: UInt64 = 0
        var failure: (any Error)?

        init(frameByteCount: Int, packs: Bool) {
            plain = ByteBuffer(count: frameByteCount)
            packed = ByteBuffer(count: packs ? FrameEncoder.capacity(byteCount: frameByteCount) : 0)
            sizes = .allocate(capacity: 8)
        }

        deinit { sizes.deallocate() }
    }

    /// Frames that are compressed together.
    ///
    /// Unchecked: either the pool or the sink has it.
    final class Batch: @unchecked Sendable {
        let slots: [Slot]
        var count = 0

        init(frames: Int, frameByteCount: Int, packs: Bool) {
            slots = (0..<frames).map { _ in Slot(frameByteCount: frameByteCount, packs: packs) }
        }

        var byteCount: Int { slots[..<count].reduce(0) { $0 + $1.range.count } }

        func add(_ section: Int, _ range: Range<Int>) {
            slots[count].section = section
            slots[count].range = range
            slots[count].failure = nil
            count += 1
        }

        /// Error of the first frame that has one.
        func requireSuccess() throws {
            for slot in slots[..<count] { if let failure = slot.failure { throw failure } }
        }

        func add(to record: inout PackedRecord) {
            for slot in slots[..<count] {
                for plane in 0..<slot.planeCount { record.sections[slot.section].sizes.append(slot.sizes[plane]) }
                record.sections[slot.section].hashes.append(slot.hash)
            }
        }
    }

    /// Writes and hashes batches behind the compressing threads' back.
    ///
    /// Unchecked: the two background tasks touch different members, and the owner none until `wait` has returned.
    final class Sink: @unchecked Sendable {
        private let output: OutputFile?
        private let hashes: Bool
        private let group = DispatchGroup()
        private var running = ContentHash.Running()
        private var failure: (any Error)?
        var storedByteCount = 0

        init(output: OutputFile?, hashes: Bool) {
            self.output = output
            self.hashes = hashes
        }

        var hash: String? { hashes ? running.finish() : nil }

        /// - Precondition: `wait` has returned since the last call.
        func consume(_ batch: Batch, plain: Bool) {
            DispatchQueue.global().async(group: group) { [self] in
                do {
                    for slot in batch.slots[..<batch.count] {
                        try output?.write(UnsafeRawBufferPointer(start: plain ? slot.plain.base : slot.packed.base, count: slot.stored))
                        storedByteCount += slot.stored
                    }
                } catch {
                    failure = error
                }
            }
            guard hashes else { return }
            DispatchQueue.global().async(group: group) { [self] in
                for slot in batch.slots[..<batch.count] {
                    running.update(UnsafeRawBufferPointer(start: slot.plain.base, count: slot.range.count))
                }
            }
        }

        func wait() throws {
            group.wait()
            if let failure { throw failure }
        }
    }
}

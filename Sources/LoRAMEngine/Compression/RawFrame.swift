internal import CLoRAMKernels

/// A zstd frame (RFC 8878) that stores its content uncompressed, made without the library: a header with a content size of four bytes, raw
/// blocks of at most 128 KiB, and the checksum. Any zstd decodes it.
enum RawFrame {
    static let blockByteCount = 1 << 17
    private static let headerByteCount = 9
    private static let magic: UInt32 = 0xfd2f_b528
    /// Content size in four bytes, single segment, checksum.
    private static let descriptor: UInt8 = 0b1010_0100

    static func storedByteCount(_ count: Int) -> Int {
        headerByteCount + Content.gap * ((count + blockByteCount - 1) / blockByteCount) + count + 4
    }

    /// - Returns: `storedByteCount(count)`.
    static func write(_ source: UnsafeRawPointer, count: Int, into destination: UnsafeMutableRawPointer) -> Int {
        destination.storeBytes(of: magic.littleEndian, as: UInt32.self)
        destination.storeBytes(of: descriptor, toByteOffset: 4, as: UInt8.self)
        destination.storeBytes(of: UInt32(count).littleEndian, toByteOffset: 5, as: UInt32.self)
        var at = headerByteCount, done = 0
        while done < count {
            let piece = min(blockByteCount, count - done)
            let header = blockHeader(piece, isLast: done + piece == count)
            destination.storeBytes(of: UInt16(truncatingIfNeeded: header).littleEndian, toByteOffset: at, as: UInt16.self)
            destination.storeBytes(of: UInt8(truncatingIfNeeded: header >> 16), toByteOffset: at + 2, as: UInt8.self)
            (destination + at + Content.gap).copyMemory(from: source + done, byteCount: piece)
            at += Content.gap + piece
            done += piece
        }
        destination.storeBytes(of: checksum(source, count).littleEndian, toByteOffset: at, as: UInt32.self)
        return at + 4
    }

    /// Content that stays where it is stored: byte i is at base + i + gap * (i / blockByteCount).
    struct Content {
        let base: UnsafeRawPointer
        /// Bytes of a block's header, which stands between the blocks.
        static let gap = 3
        let checksum: UInt32
    }

    /// Finds the content of a frame that `write` made; nil for any other, which is for the library to judge. The checksum is for the caller to
    /// compare: its pass over the bytes is the only one.
    static func content(_ stored: UnsafeRawPointer, storedCount: Int, count: Int) -> Content? {
        guard storedCount == storedByteCount(count), stored.loadUnaligned(as: UInt32.self) == magic.littleEndian,
            stored.load(fromByteOffset: 4, as: UInt8.self) == descriptor,
            stored.loadUnaligned(fromByteOffset: 5, as: UInt32.self) == UInt32(count).littleEndian
        else { return nil }
        var at = headerByteCount, done = 0
        while done < count {
            let piece = min(blockByteCount, count - done)
            let header = UInt32(UInt16(littleEndian: stored.loadUnaligned(fromByteOffset: at, as: UInt16.self)))
                | UInt32(stored.load(fromByteOffset: at + 2, as: UInt8.self)) << 16
            guard header == blockHeader(piece, isLast: done + piece == count) else { return nil }
            at += Content.gap + piece
            done += piece
        }
        let checksum = UInt32(littleEndian: stored.loadUnaligned(fromByteOffset: at, as: UInt32.self))
        return Content(base: stored + headerByteCount + Content.gap, checksum: checksum)
    }

    private static func blockHeader(_ count: Int, isLast: Bool) -> UInt32 { UInt32(count) << 3 | (isLast ? 1 : 0) }

    private static func checksum(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: loram_xxh64(bytes, count))
    }
}

internal import CLoRAMKernels
internal import CZstd

/// Decompresses frames, one thread's. Nothing is allocated per frame.
///
/// Unchecked: used by one thread at a time.
final class FrameDecoder: @unchecked Sendable {
    private let context: OpaquePointer
    private let planes: UnsafeMutablePointer<UInt8>
    private let sources: UnsafeMutablePointer<Source>
    private let pointers: UnsafeMutablePointer<UnsafePointer<UInt8>?>
    private let frameByteCount: Int

    /// Where a plane's bytes are: decompressed, or as they are stored.
    private struct Source {
        var base: UnsafeRawPointer
        /// Bytes to skip behind every block of a raw frame.
        var gap = 0
        /// Of a raw frame; zstd has verified the others'.
        var checksum: UInt32?
        var hash = loram_xxh64_sums()
    }

    /// Bytes of each plane that are joined at a time: they stay in the nearest cache while raw ones are hashed as well. Divides a raw frame's block.
    private static let pieceByteCount = 1 << 12

    /// - Throws: `CompressionError.noContext`.
    init(frameByteCount: Int) throws {
        guard let context = ZSTD_createDCtx() else { throw CompressionError.noContext }
        self.context = context
        self.frameByteCount = frameByteCount
        planes = .allocate(capacity: frameByteCount)
        sources = .allocate(capacity: 8)
        pointers = .allocate(capacity: 8)
    }

    deinit {
        ZSTD_freeDCtx(context)
        planes.deallocate()
        sources.deallocate()
        pointers.deallocate()
    }

    /// What is wrong with a frame.
    struct Damage: Error {
        let reason: String
    }

    /// Checksums of zstd are verified on the way.
    ///
    /// - Parameters:
    ///   - stored: as many bytes as the sizes add up to.
    ///   - sizes: stored size of each plane.
    ///   - destination: room for `count` bytes: what the frame must give.
    /// - Throws: `Damage`; the destination then holds anything.
    func decode(
        _ stored: UnsafeRawPointer, sizes: UnsafePointer<Int>, format: FrameFormat, into destination: UnsafeMutableRawPointer, count: Int
    ) throws(Damage) {
        precondition(count <= frameByteCount, "a frame of another decoder")
        let planeByteCount = count / format.planeCount
        var at = 0
        for plane in 0..<format.planeCount {
            let bytes = stored + at
            at += sizes[plane]
            if let raw = RawFrame.content(bytes, storedCount: sizes[plane], count: planeByteCount) {
                sources[plane] = Source(base: raw.base, gap: RawFrame.Content.gap, checksum: raw.checksum)
                loram_xxh64_start(&sources[plane].hash)
            } else {
                // A single plane is the frame.
                let target = format.planeCount == 1 ? destination : UnsafeMutableRawPointer(planes + plane * planeByteCount)
                try decompress(bytes, storedCount: sizes[plane], into: target, count: planeByteCount)
                if format.planeCount == 1 { return }
                sources[plane] = Source(base: target)
            }
        }
        try join(planeByteCount, format, into: destination)
    }

    private func decompress(_ stored: UnsafeRawPointer, storedCount: Int, into destination: UnsafeMutableRawPointer, count: Int) throws(Damage) {
        let decoded = ZSTD_decompressDCtx(context, destination, count, stored, storedCount)
        guard ZSTD_isError(decoded) == 0 else { throw Damage(reason: String(cString: ZSTD_getErrorName(decoded))) }
        guard decoded == count else { throw Damage(reason: "\(decoded) bytes instead of \(count)") }
    }

    /// Joins the planes of `sources`, and compares the checksums of raw ones.
    private func join(_ planeByteCount: Int, _ format: FrameFormat, into destination: UnsafeMutableRawPointer) throws(Damage) {
        var first = 0
        while first < planeByteCount {
            let count = min(Self.pieceByteCount, planeByteCount - first), isLast = first + count == planeByteCount
            for plane in 0..<format.planeCount {
                let bytes = sources[plane].base + first + sources[plane].gap * (first / RawFrame.blockByteCount)
                pointers[plane] = bytes.assumingMemoryBound(to: UInt8.self)
                guard let checksum = sources[plane].checksum else { continue }
                if !isLast {
                    loram_xxh64_add(&sources[plane].hash, bytes, count)
                } else if UInt32(truncatingIfNeeded: loram_xxh64_finish(&sources[plane].hash, bytes, count)) != checksum {
                    throw Damage(reason: "wrong checksum of a stored plane")
                }
            }
            loram_planes_join(pointers, count, Int32(format.planeCount), format.rotates ? 1 : 0, destination + first * format.planeCount)
            first += count
        }
    }
}

internal import CLoRAMKernels
internal import CZstd

/// Decompresses frames, one thread's. Nothing is allocated per frame.
///
/// Unchecked: used by one thread at a time.
final class FrameDecoder: @unchecked Sendable {
    private let context: OpaquePointer
    private let planes: UnsafeMutablePointer<UInt8>
    private let pointers: UnsafeMutablePointer<UnsafePointer<UInt8>?>
    private let frameByteCount: Int

    /// - Throws: `CompressionError.noContext`.
    init(frameByteCount: Int) throws {
        guard let context = ZSTD_createDCtx() else { throw CompressionError.noContext }
        self.context = context
        self.frameByteCount = frameByteCount
        planes = .allocate(capacity: frameByteCount)
        pointers = .allocate(capacity: 8)
    }

    deinit {
        ZSTD_freeDCtx(context)
        planes.deallocate()
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
        guard format.planeCount > 1 else { return try decodePlane(stored, storedCount: sizes[0], into: destination, count: count) }
        let planeByteCount = count / format.planeCount
        var at = 0
        for plane in 0..<format.planeCount {
            let bytes = planes + plane * planeByteCount
            try decodePlane(stored + at, storedCount: sizes[plane], into: bytes, count: planeByteCount)
            pointers[plane] = UnsafePointer(bytes)
            at += sizes[plane]
        }
        loram_planes_join(pointers, planeByteCount, Int32(format.planeCount), format.rotates ? 1 : 0, destination)
    }

    private func decodePlane(_ stored: UnsafeRawPointer, storedCount: Int, into destination: UnsafeMutableRawPointer, count: Int) throws(Damage) {
        if RawFrame.read(stored, storedCount: storedCount, into: destination, count: count) { return }
        let decoded = ZSTD_decompressDCtx(context, destination, count, stored, storedCount)
        guard ZSTD_isError(decoded) == 0 else { throw Damage(reason: String(cString: ZSTD_getErrorName(decoded))) }
        guard decoded == count else { throw Damage(reason: "\(decoded) bytes instead of \(count)") }
    }
}

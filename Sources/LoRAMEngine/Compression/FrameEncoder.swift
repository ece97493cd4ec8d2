internal import CLoRAMKernels
internal import CZstd

/// Compresses frames, one thread's. Nothing is allocated per frame.
///
/// Unchecked: used by one thread at a time.
final class FrameEncoder: @unchecked Sendable {
    /// zstd's default; more buys little on weights.
    static let searchLevel: Int32 = 3
    /// Bits a byte above which a plane is stored: coding would save less than 1 % of it, and cost as much time as the others.
    static let storedEntropy = 7.92

    private let context: OpaquePointer
    private let method: FrameFormat.Method
    private let planes: UnsafeMutablePointer<UInt8>
    private let frameByteCount: Int

    /// - Throws: `CompressionError.noContext`.
    init(method: FrameFormat.Method, frameByteCount: Int) throws {
        guard let context = ZSTD_createCCtx() else { throw CompressionError.noContext }
        self.context = context
        self.method = method
        self.frameByteCount = frameByteCount
        planes = .allocate(capacity: frameByteCount)
        var codes = [loram_zstd_set_checksum(context)]
        codes.append(method == .entropy ? loram_zstd_set_entropy_only(context) : loram_zstd_set_level(context, Self.searchLevel))
        // A library without these settings is no zstd 1.4 or later.
        guard codes.allSatisfy({ ZSTD_isError($0) == 0 }) else { throw CompressionError.noContext }
    }

    deinit {
        ZSTD_freeCCtx(context)
        planes.deallocate()
    }

    /// Room that the planes of a frame need at most.
    static func capacity(byteCount: Int) -> Int {
        // Eight planes at most, each with a frame of its own.
        ZSTD_compressBound(byteCount) + 8 * 64 + RawFrame.storedByteCount(byteCount) - byteCount
    }

    /// - Parameters:
    ///   - source: at most `frameByteCount` bytes, whole elements.
    ///   - destination: room for `capacity(byteCount:)`.
    ///   - sizes: receives the stored size of each plane.
    /// - Returns: bytes stored, that is, the sum of the sizes.
    /// - Throws: `CompressionError.cannotCompress`.
    func encode(
        _ source: UnsafeRawPointer, count: Int, format: FrameFormat, into destination: UnsafeMutableRawPointer, capacity: Int,
        sizes: UnsafeMutablePointer<Int>
    ) throws -> Int {
        precondition(count > 0 && count <= frameByteCount && format.method == method, "a frame of another encoder")
        guard format.planeCount > 1 else {
            sizes[0] = try encodePlane(source, count: count, into: destination, capacity: capacity)
            return sizes[0]
        }
        let planeByteCount = count / format.planeCount
        loram_planes_split(source, planeByteCount, Int32(format.planeCount), format.rotates ? 1 : 0, planes, planeByteCount)
        var used = 0
        for plane in 0..<format.planeCount {
            sizes[plane] = try encodePlane(
                planes + plane * planeByteCount, count: planeByteCount, into: destination + used, capacity: capacity - used)
            used += sizes[plane]
        }
        return used
    }

    private func encodePlane(_ bytes: UnsafeRawPointer, count: Int, into destination: UnsafeMutableRawPointer, capacity: Int) throws -> Int {
        if method == .entropy, loram_planes_sample_entropy(bytes.assumingMemoryBound(to: UInt8.self), count) > Self.storedEntropy {
            return RawFrame.write(bytes, count: count, into: destination)
        }
        let stored = ZSTD_compress2(context, destination, capacity, bytes, count)
        guard ZSTD_isError(stored) == 0 else {
            throw CompressionError.cannotCompress(reason: String(cString: ZSTD_getErrorName(stored)))
        }
        return stored
    }
}

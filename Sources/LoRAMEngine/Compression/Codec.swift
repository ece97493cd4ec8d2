/// How the files of a checkpoint are stored.
public enum Codec: String, Sendable, CaseIterable {
    /// Numbers split into planes of their bytes; planes that have little entropy are Huffman-coded, the others stored.
    case planes
    /// One standard zstd stream a file, in frames that can be read each by itself.
    case zstd
    /// Plain safetensors.
    case none

    /// What a packed file's name has behind the safetensors file's.
    public var suffix: String {
        switch self {
        case .planes: ".planes"
        case .zstd: ".zst"
        case .none: ""
        }
    }
}

/// How one tensor's bytes become frames. A frame holds up to `frameByteCount` bytes of one tensor as one zstd frame for each plane.
struct FrameFormat: Sendable, Equatable {
    /// Bytes of a frame before compression: large enough that its heads and code tables weigh nothing, small enough for a core's caches.
    static let defaultByteCount = 1 << 20
    /// What files of others may ask for: whole elements of every type, and buffers that stay small.
    static let allowedByteCounts = (1 << 12)...(1 << 24)

    enum Method: Sendable, Equatable {
        /// Entropy coding, or none where it would not pay.
        case entropy
        /// zstd's ordinary search for repeats.
        case search
    }

    let method: Method
    let planeCount: Int
    /// Elements are rotated left by one bit, so that a float's exponent fills its highest byte.
    let rotates: Bool

    /// - Precondition: the codec compresses.
    init(codec: Codec, dtype: DType) {
        precondition(codec != .none, "plain files have no frames")
        method = codec == .planes ? .entropy : .search
        planeCount = codec == .planes ? dtype.byteCount : 1
        rotates = codec == .planes && dtype.isFloatingPoint
    }

    static func frameCount(of byteCount: Int, frameByteCount: Int) -> Int { (byteCount + frameByteCount - 1) / frameByteCount }
}

import Synchronization

/// Whole decoded tensors that are asked for again and again, such as the parts of an NF4 weight of which a few rows are read at a time.
///
/// Those in use anywhere are shared; a few more are kept up to a bound.
final class DecodedViews: Sendable {
    static let keptByteCount = 128 << 20

    private struct State {
        var shared: [Int: WeakBuffer] = [:]
        var kept: [(entry: Int, buffer: ByteBuffer)] = []
    }

    private struct WeakBuffer { weak var buffer: ByteBuffer? }

    private let state = Mutex(State())

    func buffer(_ entry: Int, byteCount: Int, _ fill: (UnsafeMutableRawPointer) throws -> Void) throws -> ByteBuffer {
        if let known = state.withLock({ $0.shared[entry]?.buffer }) { return known }
        let buffer = ByteBuffer(count: byteCount)
        try fill(buffer.base)
        state.withLock { state in
            state.shared[entry] = WeakBuffer(buffer: buffer)
            guard byteCount <= Self.keptByteCount else { return }
            state.kept.append((entry, buffer))
            while state.kept.reduce(0, { $0 + $1.buffer.count }) > Self.keptByteCount { state.kept.removeFirst() }
        }
        return buffer
    }
}

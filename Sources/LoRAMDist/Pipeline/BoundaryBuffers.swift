/// Buffers of the messages between two stages, all made at construction.
public enum BoundaryBuffers {
    /// Per direction: one is filled while the other is under way.
    public static let sendCount = 2
    /// Per direction: one is read while the next message already arrives.
    public static let receiveCount = 2
}

/// f32 memory with 64-byte alignment, zeroed, of fixed size.
final class FloatBuffer {
    let base: UnsafeMutablePointer<Float>
    let count: Int
    /// Set when MPI may still write into the memory although the job is ending: then it is never freed.
    var isLeaked = false

    init(count: Int) {
        precondition(count >= 0)
        self.count = count
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * MemoryLayout<Float>.stride, alignment: 64)
        base = bytes.bindMemory(to: Float.self, capacity: max(count, 1))
        base.initialize(repeating: 0, count: max(count, 1))
    }

    deinit {
        if !isLeaked { base.deallocate() }
    }
}

/// Waits of the executor: measured, marked for the watchdog, and with a hook that moves other communication on.
final class MeasuredWait {
    let marker: ProgressMarker
    var onIdle: (() throws -> Void)?
    private(set) var nanoseconds: UInt64 = 0

    init(marker: ProgressMarker) { self.marker = marker }

    func reset() { nanoseconds = 0 }

    func wait(for request: Request, _ label: StaticString, microBatch: Int, peer: Int) throws {
        if try request.test() { return }
        marker.mark(label, microBatch: microBatch, peer: peer)
        let start = monotonicNanoseconds()
        defer { nanoseconds += monotonicNanoseconds() - start }
        try request.wait(onIdle: onIdle)
        marker.touch()
    }
}

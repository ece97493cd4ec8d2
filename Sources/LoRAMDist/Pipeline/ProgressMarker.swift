import Synchronization

/// What this process did last, written by the main thread and read by the watchdog.
///
/// `mark` names a new action; `touch` says that the current one moves on. Neither allocates nor locks.
public final class ProgressMarker: Sendable {
    public struct LastAction: Sendable, Equatable {
        public let label: String
        public let microBatch: Int?
        /// Rank of the job that the action concerns, such as the one that is waited for.
        public let peer: Int?
        /// Time since the action began.
        public let age: Duration
    }

    // The three words of an action are stored one after the other; a reader may see a mix of two actions, which only a message
    // for people would show.
    private let label: Atomic<UInt>
    private let detail: Atomic<UInt64>
    private let startNanoseconds: Atomic<UInt64>
    private let tickCount = Atomic<UInt64>(0)

    public init() {
        label = Atomic(UInt(bitPattern: Self.initialLabel.utf8Start))
        detail = Atomic(0)
        startNanoseconds = Atomic(monotonicNanoseconds())
    }

    private static let initialLabel: StaticString = "starting"

    /// A new action begins. `label` reads on after "last action:".
    public func mark(_ label: StaticString, microBatch: Int? = nil, peer: Int? = nil) {
        // A string of one scalar would have no address.
        precondition(label.hasPointerRepresentation)
        self.label.store(UInt(bitPattern: label.utf8Start), ordering: .relaxed)
        let microBatchBits = UInt64(UInt32(truncatingIfNeeded: (microBatch ?? -1) + 1))
        let peerBits = UInt64(UInt32(truncatingIfNeeded: (peer ?? -1) + 1))
        detail.store(peerBits << 32 | microBatchBits, ordering: .relaxed)
        startNanoseconds.store(monotonicNanoseconds(), ordering: .relaxed)
        touch()
    }

    /// The current action moves on: called between tiles of a computation, never by a wait.
    public func touch() { tickCount.wrappingAdd(1, ordering: .relaxed) }

    /// Grows whenever something moves.
    var ticks: UInt64 { tickCount.load(ordering: .relaxed) }

    public var lastAction: LastAction {
        let pointer = UnsafePointer<CChar>(bitPattern: label.load(ordering: .relaxed))
        let detail = detail.load(ordering: .relaxed)
        let age = monotonicNanoseconds() &- startNanoseconds.load(ordering: .relaxed)
        return LastAction(
            label: pointer.map { String(cString: $0) } ?? "",
            microBatch: detail & 0xffff_ffff == 0 ? nil : Int(detail & 0xffff_ffff) - 1,
            peer: detail >> 32 == 0 ? nil : Int(detail >> 32) - 1,
            age: .nanoseconds(Int64(clamping: age)))
    }
}

extension ProgressMarker.LastAction: CustomStringConvertible {
    public var description: String { "\(what), begun \(age.components.seconds) s ago" }

    /// Without its age.
    public var what: String {
        var text = label
        if let microBatch { text += " of micro-batch \(microBatch)" }
        if let peer { text += " (rank \(peer))" }
        return text
    }
}

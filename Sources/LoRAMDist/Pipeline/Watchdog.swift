import Foundation
import LoRAMEngine
import Synchronization

/// A thread that ends the process, and with it the job, when nothing moves for a set time: no rank ever hangs.
///
/// It prints rank, host and last action and leaves with `_exit(75)`: under MPI_THREAD_FUNNELED only the main thread may call
/// MPI_Abort, and mpirun ends a job in which a rank exits with an error. Where a process of the same node was stopped, it names that one:
/// the others only wait for it.
public final class Watchdog: Sendable {
    private let marker: ProgressMarker
    private let rank: Int
    private let host: String
    private let heartbeats: NodeHeartbeats?
    private let limitNanoseconds: Atomic<UInt64>
    private let isStopped = Atomic<Bool>(false)

    /// Starts to watch. `limitSeconds`: the recipe's `watchdog_seconds`. `heartbeats`: of the ranks of this node.
    public init(marker: ProgressMarker, limitSeconds: Double, rank: Int, host: String, heartbeats: NodeHeartbeats? = nil) {
        self.marker = marker
        self.heartbeats = heartbeats
        self.rank = rank
        self.host = host
        limitNanoseconds = Atomic(Self.nanoseconds(limitSeconds))
        let thread = Thread { [self] in watch() }
        thread.name = "watchdog"
        thread.start()
    }

    /// Another limit from now on: phases differ in how long one action may take. Ranks that wait while another one works for long,
    /// in `onRoot` or for a checkpoint, do not move.
    public func setLimit(seconds: Double) {
        limitNanoseconds.store(Self.nanoseconds(seconds), ordering: .relaxed)
        marker.touch()
    }

    /// Stops watching; the thread ends within a second.
    public func stop() { isStopped.store(true, ordering: .relaxed) }

    private static func nanoseconds(_ seconds: Double) -> UInt64 {
        precondition(seconds > 0 && seconds < 1e9, "watchdog_seconds must be positive")
        return UInt64(seconds * 1e9)
    }

    private func watch() {
        var seenTicks = marker.ticks
        var idle: UInt64 = 0
        var lastLook = monotonicNanoseconds()
        while !isStopped.load(ordering: .relaxed) {
            let limit = limitNanoseconds.load(ordering: .relaxed)
            let interval = min(Self.intervalNanoseconds, limit / 4 + 1)
            var time = timespec(tv_sec: Int(interval / 1_000_000_000), tv_nsec: Int(interval % 1_000_000_000))
            nanosleep(&time, nil)
            let now = monotonicNanoseconds()
            heartbeats?.beat(marker.lastAction.what)
            let ticks = marker.ticks
            if ticks != seenTicks {
                seenTicks = ticks
                idle = 0
            } else {
                // A process that was itself stopped for hours has not watched for hours.
                idle += min(now &- lastLook, 2 * interval)
            }
            lastLook = now
            if idle >= limit { expire(limit) }
        }
    }

    private func expire(_ limit: UInt64) -> Never {
        let silent = { [self] in heartbeats?.silence(longerThan: max(Self.silentSeconds, Double(limit) / 2e9)) }
        // One who sees the cause speaks, and that ends the others; those who only wait would name each other.
        if silent()?.isOursToTell != true { usleep(Self.deferenceMicroseconds) }
        if let silence = silent()?.of {
            MPIRuntime.printLine(
                "rank \(silence.rank) on \(host) has not run for \(Int(silence.seconds)) s, as a stopped process; its last action: \(silence.lastAction)")
        } else {
            let seconds = String(format: "%g", Double(limit) / 1e9)
            MPIRuntime.printLine("rank \(rank) on \(host): nothing has moved for \(seconds) s; last action: \(marker.lastAction)")
        }
        _exit(ExitStatus.stalled.rawValue)
    }

    /// Between two looks, and two signs of life.
    private static let intervalNanoseconds: UInt64 = 200_000_000
    /// Longer than a busy machine keeps a thread waiting.
    private static let silentSeconds = 2.0
    private static let deferenceMicroseconds: UInt32 = 1_500_000
}

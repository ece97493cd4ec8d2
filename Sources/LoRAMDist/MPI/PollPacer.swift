import Foundation

/// How a waiting rank behaves between two polls: it spins while an answer is likely within microseconds, then gives the core
/// away, then sleeps in proportion to how long it has waited, so that a rank without work costs its neighbours nothing.
///
/// A pause is at most a thousandth of the time waited so far, hence it delays nothing noticeably.
struct PollPacer {
    private static let spinCount = 200
    private static let yieldCount = 4_000
    private static let shortestPause = 20_000

    private var pollCount = 0
    private var startNanoseconds: UInt64 = 0
    private let longestPauseNanoseconds: Int

    /// `longestPause`: the ceiling of a pause. While large messages move in fragments every poll moves a few, so a wait for one
    /// keeps it at a fraction of a millisecond.
    init(longestPauseMicroseconds: Int = 200) {
        longestPauseNanoseconds = longestPauseMicroseconds * 1_000
    }

    mutating func pause() {
        pollCount += 1
        if pollCount <= Self.spinCount { return }
        if pollCount <= Self.yieldCount {
            sched_yield()
            return
        }
        let now = monotonicNanoseconds()
        if startNanoseconds == 0 { startNanoseconds = now }
        let proportional = Int((now &- startNanoseconds) / 1_000)
        let nanoseconds = min(max(proportional, Self.shortestPause), longestPauseNanoseconds)
        var time = timespec(tv_sec: nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
        nanosleep(&time, nil)
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

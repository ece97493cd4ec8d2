import Foundation

/// How a waiting rank behaves between two polls: it spins while an answer is likely within microseconds, then offers its core to
/// others, and after a while sleeps in proportion to how long it has waited, so that a rank without work costs its neighbours
/// nothing.
///
/// It does not sleep while a message is arriving: shared memory moves about one fragment of 32 KiB a poll, so each pause would
/// count thousands of times. Long messages therefore travel in pieces, and every piece that arrives starts the pacing anew.
struct PollPacer {
    private static let spinCount = 200
    private static let yieldNanoseconds: UInt64 = 50_000_000
    private static let shortestPauseNanoseconds = 20_000

    private var pollCount = 0
    private var startNanoseconds: UInt64 = 0
    private var lastProgress: Int?
    private let longestPauseNanoseconds: Int

    init(longestPauseMicroseconds: Int = 200) {
        longestPauseNanoseconds = longestPauseMicroseconds * 1_000
    }

    /// `progress`: a number that changes whenever something arrives.
    mutating func pause(progress: Int = 0) {
        if progress != lastProgress {
            lastProgress = progress
            pollCount = 0
            startNanoseconds = 0
        }
        pollCount += 1
        if pollCount <= Self.spinCount { return }
        let now = monotonicNanoseconds()
        if startNanoseconds == 0 { startNanoseconds = now }
        let waited = now &- startNanoseconds
        if waited < Self.yieldNanoseconds {
            sched_yield()
            return
        }
        let nanoseconds = min(max(Int(waited / 1_000), Self.shortestPauseNanoseconds), longestPauseNanoseconds)
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

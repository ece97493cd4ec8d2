import Foundation

/// A thread that does one thing, for those who wait for it.
final class BackgroundThread: Sendable {
    private let finished = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () -> Void) {
        let finished = finished
        let thread = Thread {
            body()
            finished.signal()
        }
        // Decoders of packed files keep tables on the stack.
        thread.stackSize = 4 << 20
        thread.start()
    }

    func wait() { finished.wait() }

    /// Whether it came to its end within this time. Not to be called again after that.
    func wait(milliseconds: Int) -> Bool { finished.wait(timeout: .now() + .milliseconds(milliseconds)) == .success }
}

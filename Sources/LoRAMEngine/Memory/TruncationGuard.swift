import Glibc
import Synchronization

/// Turns the SIGBUS of a mapped file that was cut short while in use into one line and exit code 65.
///
/// A signal handler may neither allocate nor lock, so every mapping's range and its finished message wait in a fixed table.
public enum TruncationGuard {
    /// Installs the handler for this process; the command line does this once, before it opens files.
    public static func install() {
        _ = table
        var action = sigaction()
        action.__sigaction_handler.sa_sigaction = { _, information, _ in
            let address = UInt(bitPattern: information?.pointee._sifields._sigfault.si_addr)
            TruncationGuard.exitIfMapped(address)
            // Not one of ours: the default action follows when the instruction faults again.
            signal(SIGBUS, SIG_DFL)
        }
        action.sa_flags = SA_SIGINFO
        sigaction(SIGBUS, &action, nil)
    }

    private struct Entry {
        var start: UInt = 0
        var end: UInt = 0
        var message: UnsafeMutableRawPointer?
        var messageCount = 0
    }

    /// More mappings than this are not covered; a 70B checkpoint has some 30 files.
    private static let capacity = 1024

    // Written under `lock`; the handler reads it without, just before the process ends.
    nonisolated(unsafe) private static let table: UnsafeMutablePointer<Entry> = {
        let table = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        table.initialize(repeating: Entry(), count: capacity)
        return table
    }()

    private static let lock = Mutex(())

    static func register(_ bytes: UnsafeRawBufferPointer, path: String) {
        let text = Array(
            "error: \(path): expected \(bytes.count) bytes as when it was opened, found it cut short while being read; restore the file\n".utf8)
        lock.withLock { _ in
            guard let slot = (0..<capacity).first(where: { table[$0].message == nil }) else { return }
            let message = UnsafeMutableRawPointer.allocate(byteCount: text.count, alignment: 1)
            text.withUnsafeBytes { message.copyMemory(from: $0.baseAddress!, byteCount: text.count) }
            let start = UInt(bitPattern: bytes.baseAddress)
            table[slot] = Entry(start: start, end: start + UInt(bytes.count), message: message, messageCount: text.count)
        }
    }

    static func unregister(_ bytes: UnsafeRawBufferPointer) {
        let start = UInt(bitPattern: bytes.baseAddress)
        lock.withLock { _ in
            guard let slot = (0..<capacity).first(where: { table[$0].message != nil && table[$0].start == start }) else { return }
            let message = table[slot].message
            table[slot] = Entry()
            message?.deallocate()
        }
    }

    private static func exitIfMapped(_ address: UInt) {
        for slot in 0..<capacity where table[slot].start <= address && address < table[slot].end {
            _ = write(STDERR_FILENO, table[slot].message, table[slot].messageCount)
            _exit(ExitStatus.badInput.rawValue)
        }
    }
}

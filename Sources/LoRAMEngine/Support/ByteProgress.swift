import Foundation

/// How far a conversion of files has come: on a terminal one line that is rewritten, in a log a plain line now and then.
///
/// Makes the text only; its owner writes it to stderr.
public struct ByteProgress: Sendable {
    /// Between two lines of a terminal and of a log. A job that is done before the first is due shows nothing.
    static let terminalInterval = Duration.milliseconds(200)
    static let logInterval = Duration.seconds(10)

    /// "quantized", "packed".
    public let verb: String
    public let isTerminal: Bool
    private var lastShown = Duration.zero
    private var isLineOpen = false

    public init(verb: String, isTerminal: Bool = isatty(STDERR_FILENO) == 1) {
        self.verb = verb
        self.isTerminal = isTerminal
    }

    /// The text to write now; nil where none is due.
    ///
    /// - Parameter elapsed: since the start.
    public mutating func update(done: Int, total: Int, elapsed: Duration) -> String? {
        let isLast = done >= total
        if isLast { return close() }
        guard elapsed - lastShown >= (isTerminal ? Self.terminalInterval : Self.logInterval) else { return nil }
        lastShown = elapsed
        let seconds = elapsed / .seconds(1), rate = Double(done) / seconds
        let percent = total > 0 ? 100 * Double(done) / Double(total) : 100
        let line = "\(verb) \(Formatting.bytes(done)) of \(Formatting.bytes(total)) (\(Formatting.fixed(percent, decimals: 0)) %)  "
            + "\(Formatting.fixed(rate / 1e9, decimals: 2)) GB/s  ETA \(Formatting.seconds(Double(total - done) / max(rate, 1)))"
        guard isTerminal else { return line + "\n" }
        isLineOpen = true
        // Carriage return, the text, and "erase to the end of the line".
        return "\r\(line)\u{1b}[K"
    }

    /// The report that follows takes the line's place.
    private mutating func close() -> String? {
        defer { isLineOpen = false }
        return isLineOpen ? "\r\u{1b}[K" : nil
    }
}

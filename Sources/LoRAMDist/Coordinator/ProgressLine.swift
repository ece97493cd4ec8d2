import Foundation
import LoRAMEngine

/// Shows how a phase goes on: on a terminal one line that is rewritten, in a log a plain line now and then.
///
/// Makes the text only; its owner writes it to stderr. Times are seconds on any steady clock.
public struct ProgressLine: Sendable {
    /// Seconds between two lines of a log; the first and the last update always have one.
    static let logInterval = 10.0

    public let phase: Recipe.Phase
    public let stepCount: Int
    public let isTerminal: Bool
    /// Columns of the terminal.
    public let width: Int
    /// Smoothed, so that one slow step does not upset the ETA.
    private var secondsPerStep: Double?
    private var lastShown: Double?
    private var isLineOpen = false

    public init(phase: Recipe.Phase, stepCount: Int, isTerminal: Bool, width: Int = 100) {
        self.phase = phase
        self.stepCount = stepCount
        self.isTerminal = isTerminal
        self.width = max(width, 20)
    }

    /// For this process's stderr.
    public static func forStandardError(phase: Recipe.Phase, stepCount: Int) -> ProgressLine {
        var size = winsize()
        let hasSize = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return ProgressLine(phase: phase, stepCount: stepCount, isTerminal: isatty(STDERR_FILENO) == 1, width: hasSize ? Int(size.ws_col) : 100)
    }

    /// The text to write after an update; nil where none is due.
    public mutating func update(_ row: MetricsRow, now: Double) -> String? {
        secondsPerStep = secondsPerStep.map { 0.9 * $0 + 0.1 * row.stepSeconds } ?? row.stepSeconds
        let isLast = row.step >= stepCount
        if isTerminal {
            isLineOpen = !isLast
            // Carriage return, the text, and "erase to the end of the line".
            return "\r\(describe(row).prefix(width - 1))\u{1b}[K" + (isLast ? "\n" : "")
        }
        if let lastShown, now - lastShown < Self.logInterval, !isLast { return nil }
        lastShown = now
        return describe(row) + "\n"
    }

    /// A message of its own line, which on a terminal takes the place of the progress line until the next update.
    public mutating func message(_ text: String) -> String {
        defer { isLineOpen = false }
        return (isLineOpen ? "\r\u{1b}[K" : "") + text + "\n"
    }

    /// `train 12/400  loss 2.3412  lr 1.200e-04  3.21 k tokens/s  ETA 12 m 05 s`
    func describe(_ row: MetricsRow) -> String {
        let loss = row.loss.map { Formatting.fixed($0, decimals: 4) } ?? "-"
        let remaining = Double(max(stepCount - row.step, 0)) * (secondsPerStep ?? row.stepSeconds)
        return "\(phase.rawValue) \(row.step)/\(stepCount)  loss \(loss)  lr \(String(format: "%.3e", row.learningRate))"
            + "  \(Formatting.count(row.tokensPerSecond)) tokens/s  ETA \(Formatting.seconds(remaining))"
    }
}

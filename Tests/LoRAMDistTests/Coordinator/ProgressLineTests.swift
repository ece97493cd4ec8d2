import LoRAMDist
import LoRAMEngine
import Testing

@Suite struct ProgressLineTests {
    func row(_ step: Int, seconds: Double = 2) -> MetricsRow {
        MetricsRow(
            step: step, phase: .train, loss: 2.34567, learningRate: 1.2e-4, gradientNorm: 1, tokenCount: 10, tokensPerSecond: 3210,
            stepSeconds: seconds, waitSeconds: 0, slowestRank: 0, majorPageFaultCount: 0, peakResidentMiB: 1)
    }

    @Test func aLogHasPlainLinesNowAndThen() {
        var line = ProgressLine(phase: .train, stepCount: 100, isTerminal: false)
        #expect(line.update(row(1), now: 0) == "train 1/100  loss 2.3457  lr 1.200e-04  3.21 k tokens/s  ETA 3 m 18 s\n")
        #expect(line.update(row(2), now: 2) == nil)
        #expect(line.update(row(6), now: 10)?.hasPrefix("train 6/100") == true)
        #expect(line.update(row(7), now: 12) == nil)
        #expect(line.update(row(100), now: 13)?.contains("ETA 0.00 s") == true)
        #expect(line.message("saved") == "saved\n")
    }

    @Test func aTerminalHasOneLineThatIsRewritten() {
        var line = ProgressLine(phase: .train, stepCount: 3, isTerminal: true, width: 30)
        #expect(line.update(row(1), now: 0) == "\rtrain 1/3  loss 2.3457  lr 1.\u{1b}[K")
        #expect(line.message("saved") == "\r\u{1b}[Ksaved\n")
        #expect(line.message("again") == "again\n")
        #expect(line.update(row(3), now: 1)?.hasSuffix("\u{1b}[K\n") == true)
        #expect(line.message("end") == "end\n")
    }

    @Test func theETAIsSmoothed() {
        var line = ProgressLine(phase: .align, stepCount: 11, isTerminal: false)
        _ = line.update(row(1, seconds: 1), now: 0)
        #expect(line.update(row(2, seconds: 101), now: 100)?.contains("ETA 1 m 39 s") == true)
    }
}

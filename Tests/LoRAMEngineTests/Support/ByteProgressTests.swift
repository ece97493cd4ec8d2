import LoRAMEngine
import Testing

@Suite struct ByteProgressTests {
    @Test func aTerminalsLineIsRewritten() {
        var progress = ByteProgress(verb: "quantized", isTerminal: true)
        #expect(progress.update(done: 1 << 20, total: 4 << 20, elapsed: .milliseconds(100)) == nil)
        let line = progress.update(done: 2 << 20, total: 4 << 20, elapsed: .seconds(2))
        #expect(line == "\rquantized 2.00 MiB of 4.00 MiB (50 %)  0.00 GB/s  ETA 2.0 s\u{1b}[K")
        #expect(progress.update(done: 3 << 20, total: 4 << 20, elapsed: .milliseconds(2100)) == nil)
        #expect(progress.update(done: 4 << 20, total: 4 << 20, elapsed: .seconds(3)) == "\r\u{1b}[K")
    }

    @Test func aLogGetsALineNowAndThen() {
        var progress = ByteProgress(verb: "packed", isTerminal: false)
        #expect(progress.update(done: 1, total: 4, elapsed: .seconds(9)) == nil)
        #expect(progress.update(done: 2, total: 4, elapsed: .seconds(11))?.hasSuffix("\n") == true)
        #expect(progress.update(done: 3, total: 4, elapsed: .seconds(20)) == nil)
        #expect(progress.update(done: 4, total: 4, elapsed: .seconds(22)) == nil)
    }
}

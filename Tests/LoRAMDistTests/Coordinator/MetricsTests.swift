import LoRAMDist
import LoRAMEngine
import TestSupport
import Testing

@Suite struct MetricsTests {
    static let keys = [
        "step", "phase", "loss", "learning_rate", "grad_norm", "tokens", "tokens_per_second", "step_seconds", "wait_seconds", "slowest_rank",
        "major_page_faults", "peak_rss_mib", "bubble",
    ]

    func write(_ rows: [MetricsRow]) throws -> [String] {
        let directory = try TemporaryDirectory()
        let writer = try MetricsWriter(directory.path("metrics.jsonl"))
        for row in rows { try writer.append(row) }
        try writer.sync()
        return String(decoding: try FileSystem.read(directory.path("metrics.jsonl")), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func row(loss: Double?, rate: Double = 1e-5) -> MetricsRow {
        MetricsRow(
            step: 7, phase: .align, loss: loss, learningRate: rate, gradientNorm: nil, tokenCount: 12, tokensPerSecond: 0.1 + 0.2,
            stepSeconds: 5e-324, waitSeconds: 0, slowestRank: 3, majorPageFaultCount: 4, peakResidentMiB: 1.0 / 3)
    }

    @Test func keysAreTheDocumentedOnesAndDoublesRoundTrip() throws {
        let loss = 2.302585092994046
        let lines = try write([row(loss: loss), row(loss: loss)])
        #expect(lines.count == 2 && lines[0] == lines[1])
        let json = try JSONValue.parse(lines[0])
        #expect(json.objectMembers?.map(\.key) == Self.keys)
        #expect(json["loss"]?.doubleValue == loss)
        #expect(json["learning_rate"]?.doubleValue == 1e-5)
        #expect(json["tokens_per_second"]?.doubleValue == 0.1 + 0.2)
        #expect(json["step_seconds"]?.doubleValue == 5e-324)
        #expect(json["peak_rss_mib"]?.doubleValue == 1.0 / 3)
        #expect(json["phase"] == "align" && json["step"] == 7 && json["slowest_rank"] == 3)
        #expect(json["grad_norm"] == .null)
    }

    @Test func noLossIsNull() throws {
        for loss in [nil, Double.nan, .infinity] {
            #expect(try JSONValue.parse(write([row(loss: loss)])[0])["loss"] == .null)
        }
    }

    @Test func evaluationsAreNamed() throws {
        let directory = try TemporaryDirectory()
        try MetricsWriter(directory.path("m")).append(EvaluationRow(step: 50, phase: .train, values: [("alpaca", 1.5), ("a\"b", 2)]))
        let json = try JSONValue.parse(try FileSystem.read(directory.path("m")))
        #expect(json == ["step": 50, "phase": "train", "eval/alpaca": 1.5, "eval/a\"b": 2.0])
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// TensorBoard's own reader against metrics.jsonl.
@Suite(.enabled(if: ReferencePython.has("tensorboard"), "LORAM_PYTHON names no Python with tensorboard"))
struct TensorBoardTests {
    /// A run, an interruption after a commit with updates beyond it, and a resumed run: each step appears once.
    @Test func readsWhatTheMetricsSay() throws {
        let project = try Project()
        let output = project.path("run")
        func train(_ more: [(String, String)], _ flags: [String] = []) throws {
            let outcome = try CommandRun.run(
                ["train"] + flags
                    + settings([
                        ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("data.train", "[{path: \(project.tokens)}]"),
                        ("data.evaluation", "[{name: held, path: \(project.tokens)}]"), ("data.length", "24"), ("batch.global", "4"),
                        ("batch.micro", "2"), ("schedule.steps", "6"), ("checkpoint.every", "2"), ("evaluation.every", "3"),
                    ] + more))
            try #require(outcome.exitCode == 0, "\(outcome.standardError)")
        }
        try train([])
        // As if killed between the commits of 4 and 6.
        for name in ["checkpoints/step-00000006", "adapter"] { try FileManager.default.removeItem(atPath: "\(output)/\(name)") }
        try train([], ["--resume"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(output)/tensorboard/train").count == 2)

        let read = try ReferencePython.run("read_events.py", ["\(output)/tensorboard/train"])
        #expect(read.exitCode == 0, "\(read.output)")
        let line = try #require(read.output.split(separator: "\n").last { $0.hasPrefix("EVENTS ") })
        let events = try JSONValue.parse(String(line.dropFirst(7)))
        let rows = try String(contentsOfFile: "\(output)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map { try JSONValue.parse(String($0)) }
        for tag in ["loss", "learning_rate", "grad_norm", "tokens_per_second", "step_seconds", "wait_seconds", "peak_rss_mib", "eval/held"] {
            let expected = rows.compactMap { row in row[tag]?.doubleValue.map { (row["step"]!.intValue!, Float($0)) } }
            let found = try #require(events[tag]?.arrayValue).map { ($0[0]!.intValue!, Float($0[1]!.doubleValue!)) }
            #expect(found.map(\.0) == expected.map(\.0) && found.map(\.1) == expected.map(\.1), "\(tag)")
            #expect(found.count == (tag == "eval/held" ? 2 : 6))
        }
    }
}

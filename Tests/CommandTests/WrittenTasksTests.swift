import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `evaluate` with tasks whose answers the model writes.
@Suite(.enabled(if: SharedData.path("models/stories260K") != nil, "shared data are absent"), .serialized) struct WrittenTasksTests {
    private let model = SharedData.path("models/stories260K") ?? ""
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func write(_ name: String, _ lines: [String]) throws -> String {
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: directory.path(name)))
        return directory.path(name)
    }

    /// What the model goes on with after "Once upon a time" is known, and holds no number.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is absent")) func gsm8kOnEveryGrid() throws {
        let questions = try write("test.jsonl", ["One", "Two", "Three"].map { #"{"question": "Once upon a time \#($0)", "answer": "x #### 3"}"# })
        let examples = try write("examples.jsonl", [#"{"question": "How many?", "target": "One. The answer is 1."}"#])
        var reports: [String] = [], logs: [String] = []
        for (ranks, stages) in [(0, 1), (2, 1), (2, 2)] {
            let log = directory.path("log-\(ranks)-\(stages)")
            let outcome = try CommandRun.run(
                [
                    "evaluate", "--model", model, "--task", "gsm8k=\(questions)", "--fewshot", "gsm8k=\(examples)", "--shots", "1", "--json", "--log", log,
                    "--set", "parallel.stages=\(stages)",
                ], ranks: ranks)
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            reports.append(outcome.outputLines.last ?? "")
            logs.append(try String(contentsOfFile: log, encoding: .utf8))
        }
        #expect(Set(reports).count == 1 && Set(logs).count == 1)
        let task = try #require(JSONValue.parse(reports[0])["tasks"]?["gsm8k_cot"])
        #expect(task["questions"] == 3 && task["exact_match_strict"] == 0.0 && task["exact_match_flexible_stderr"] != nil)
        let lines = try logs[0].split(separator: "\n").map { try JSONValue.parse(String($0)) }
        #expect(lines.count == 3 && lines.allSatisfy { $0["completion"]?.stringValue?.isEmpty == false && $0["target"] == "3" })
    }

    @Test(.enabled(if: ProgramSandbox.findPython() != nil, "python3 is absent")) func humanevalWithAPerplexityBeside() throws {
        // A story is no Python; one that stands in a comment passes a test that asks for nothing.
        let tasks = try write(
            "tasks.jsonl",
            [
                #"{"task_id": "T/0", "prompt": "def f():\n    return 1\n# Once upon a time", "entry_point": "f", "test": "def check(g):\n    assert g() == 1\n"}"#,
                #"{"task_id": "T/1", "prompt": "Once upon a time", "entry_point": "f", "test": "def check(g):\n    pass\n"}"#,
            ])
        let text = try write("text.jsonl", [#"{"text": "Once upon a time"}"#])
        for ranks in MPIRun.isAvailable ? [0, 2] : [0] {
            let log = directory.path("log-\(ranks)")
            let outcome = try CommandRun.run(
                [
                    "evaluate", "--model", model, "--task", "humaneval=\(tasks)", "--perplexity", text, "--samples", "2", "--temperatures", "0,0.5",
                    "--max-tokens", "8", "--program-seconds", "30", "--log", log, "--json",
                ], ranks: ranks)
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            let report = try JSONValue.parse(outcome.outputLines.last ?? ""), task = try #require(report["tasks"]?["humaneval"])
            #expect(report["perplexity"] != nil && task["pass@1"] == 0.5 && task["pass@10"] == nil && task["pass@1_stderr"] == 0.5)
            let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map { try JSONValue.parse(String($0)) }
            #expect(lines.count == 2 + 4 && lines.filter { $0["passed"] == true }.allSatisfy { $0["task_id"] == "T/0" })
            #expect(lines.last?["result"]?.stringValue?.hasPrefix("failed: ") == true)
        }
    }

    @Test func mistakesAreOneLine() throws {
        let questions = try write("test.jsonl", [#"{"question": "q", "answer": "x #### 3"}"#])
        for (more, status, word) in [
            (["--task", "gsm8k_cot=\(questions)", "--shots", "8"], Int32(64), "--fewshot gsm8k_cot=FILE"),
            (["--task", "gsm8k_cot=\(questions)", "--fewshot", "gsm8k_cot=\(questions)", "--shots", "2"], 65, "expected 2"),
            (["--task", "gsm8k_cot=\(questions)", "--stream"], 64, "token by token"), (["--task", "humaneval=\(questions)"], 65, "prompt"),
            (["--task", "humaneval=\(questions)", "--python", "/nonexistent"], 1, "expected python3 at /nonexistent"), (["--task", "humaneval=\(questions)", "--temperatures", "warm"], 64, "--temperatures"),
        ] {
            let outcome = try CommandRun.run(["evaluate", "--model", model] + more)
            #expect(outcome.exitCode == status && outcome.standardError.contains(word), "\(more): \(outcome.exitCode) \(outcome.standardError)")
        }
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct HumanEvalTests {
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func data(samples: Int, temperatures: [Double]) throws -> HumanEvalData {
        let path = try directory.write(
            #"{"task_id": "T/0", "prompt": "def f(x):\n", "entry_point": "f", "test": "def check(g):\n    assert g(2) == 4\n"}"# + "\n"
                + #"{"task_id": "T/1", "prompt": "def g(x):\n", "entry_point": "g", "test": "def check(g):\n    assert g(2) == 2\n"}"#, "tasks.jsonl")
        return try HumanEvalData(.init(path: path, samples: samples, temperatures: temperatures))
    }

    @Test func programsAreTheTasksOwn() throws {
        let data = try data(samples: 1, temperatures: [0])
        #expect(data.prompts == ["def f(x):\n", "def g(x):\n"])
        #expect(data.program(0, "    return x * x") == "def f(x):\n    return x * x\ndef check(g):\n    assert g(2) == 4\n\ncheck(f)")
        #expect(throws: DatasetError.self) { try HumanEvalData(.init(path: directory.write(#"{"prompt": "x"}"#, "bad.jsonl"))) }
    }

    @Test func theBestTemperatureCounts() throws {
        let data = try data(samples: 10, temperatures: [0, 0.8])
        func sample(_ question: Int, _ number: Int, _ passed: Bool) -> HumanEvalData.Sample {
            .init(question: question, sample: number, completion: "c", outcome: passed ? .passed : .failed("AssertionError"))
        }
        // Greedy: one of two. At 0.8: three of ten, and one of ten.
        let score = data.score([
            [sample(0, 0, true), sample(1, 0, false)],
            (0..<10).map { sample(0, $0, $0 < 3) } + (0..<10).map { sample(1, $0, $0 == 7) },
        ])
        #expect(score.measures.map(\.name) == ["pass@1", "pass@10"])
        #expect(abs(score.measures[0].mean - 0.5) < 1e-12 && abs(score.measures[1].mean - 1) < 1e-12)
        #expect(score.json["pass@1_temperature"] == 0.0 && score.json["pass@10_temperature"] == 0.8)
        let warm = try #require(score.json["temperatures"]?.arrayValue?[1])
        #expect(abs(warm["pass@1"]!.doubleValue! - 0.2) < 1e-12 && abs(warm["pass@1_stderr"]!.doubleValue! - 0.1) < 1e-12)
        #expect(score.log.count == 22 && score.log[0]["passed"] == true && score.log[1]["result"] == "failed: AssertionError")
    }

    /// The tasks' own solutions pass all tests, and a function that does nothing passes none.
    @Test(.enabled(if: SharedData.path("eval/HumanEval.jsonl.gz") != nil && ProgramSandbox.findPython() != nil, "shared data or python3 are absent"))
    func realTasks() throws {
        let path = SharedData.path("eval/HumanEval.jsonl.gz")!
        let data = try HumanEvalData(.init(path: path))
        let file = try DatasetFile(path: path, format: nil)
        let solutions = try (0..<file.recordCount).map { try RecordReader(file: file, record: $0, format: .text).string("canonical_solution") }
        #expect(solutions.count == 164 && data.prompts.count == 164)
        let sandbox = try ProgramSandbox.start(workers: 2)
        var limits = ProgramSandbox.Limits()
        limits.seconds = 60
        let outcomes = try sandbox.run(solutions.enumerated().map { data.program($0, $1) }, limits: limits)
        for (index, outcome) in outcomes.enumerated() { #expect(outcome == .passed, "task \(index): \(outcome.text)") }
        let idle = try sandbox.run((0..<20).map { data.program($0, "    return None\n") }, limits: limits)
        #expect(idle.allSatisfy { $0 != .passed })
    }
}

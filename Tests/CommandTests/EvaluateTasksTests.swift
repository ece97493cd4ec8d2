import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `evaluate --task` and `--compare` with a real small model.
@Suite(.enabled(if: SharedData.path("models/stories260K") != nil, "shared data are absent"), .serialized) struct EvaluateTasksTests {
    private let model = SharedData.path("models/stories260K") ?? ""
    private let tasks = ["arc_easy=\(SharedData.path("eval/arc_easy.validation.jsonl") ?? "")", "piqa=\(SharedData.path("eval/piqa.validation.jsonl") ?? "")"]

    private func arguments(_ more: [String]) -> [String] {
        ["evaluate"] + tasks.flatMap { ["--task", $0] } + ["--limit", "60", "--length", "512", "--json"] + more
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is absent"))
    func gridsGiveTheSameBits() throws {
        let alone = try CommandRun.run(arguments(["--model", model, "--shots", "1"]))
        #expect(alone.exitCode == 0, "\(alone.standardError)")
        let report = try JSONValue.parse(alone.outputLines.last ?? "")
        #expect(report["tasks"]?["arc_easy"]?["questions"] == 60 && report["tasks"]?["piqa"]?["acc_norm"] != nil)
        for stages in [1, 2] {
            let many = try CommandRun.run(arguments(["--model", model, "--shots", "1", "--set", "parallel.stages=\(stages)"]), ranks: 2)
            #expect(many.outputLines.last == alone.outputLines.last, "\(many.standardError)")
        }
    }

    @Test func comparesModels() throws {
        let text = SharedData.path("eval/openbookqa.validation.jsonl")!
        let run = try CommandRun.run(["evaluate", "--compare", "one=\(model)", "two=\(model)", "--task", "openbookqa=\(text)", "--limit", "20"])
        #expect(run.exitCode == 0, "\(run.standardError)")
        #expect(run.outputLines.first?.split(separator: " ").map(String.init) == ["one", "two"])
        let row = try #require(run.outputLines.first { $0.hasPrefix("openbookqa acc ") })
        let cells = row.dropFirst("openbookqa acc ".count).components(separatedBy: "  ").filter { !$0.isEmpty }
        #expect(cells.count == 2 && cells[0].trimmingCharacters(in: .whitespaces) == cells[1].trimmingCharacters(in: .whitespaces))
    }

    @Test(.enabled(if: ReferencePython.isPresent, "LORAM_PYTHON names no Python"))
    func logLikelihoodsMatchTransformers() throws {
        let directory = try TemporaryDirectory()
        let run = try CommandRun.run(arguments(["--model", model, "--log", directory.path("log.jsonl")]))
        #expect(run.exitCode == 0, "\(run.standardError)")
        let check = try ReferencePython.run("check_choices.py", [model, directory.path("log.jsonl")])
        #expect(check.exitCode == 0, "\(check.output)")
    }

    @Test func wrongTasksAreNamed() throws {
        let run = try CommandRun.run(["evaluate", "--model", model, "--task", "arc=x.jsonl"])
        #expect(run.exitCode == 64 && run.standardError.contains("arc_easy"))
        #expect(try CommandRun.run(["evaluate", "--model", model]).exitCode == 64)
    }
}

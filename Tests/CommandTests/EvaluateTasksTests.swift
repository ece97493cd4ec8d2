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

    /// `run` scores the recipe's tasks with every arm, as `evaluate` does.
    @Test(.enabled(if: SharedData.path("sft/alpaca_5000.json") != nil, "shared data are absent"))
    func aRunEndsWithTheRecipesTasks() throws {
        let directory = try TemporaryDirectory(), recipe = directory.path("recipe.yaml"), run = directory.path("run")
        let path = SharedData.path("eval/arc_easy.validation.jsonl")!
        try """
        model: \(model)
        output: \(run)
        pruning: {method: rand, ratio: 0}
        quantization: {type: none}
        lora: {rank: 2}
        data: {train: [{path: \(SharedData.path("sft/alpaca_5000.json")!)}], length: 256}
        batch: {global: 4, micro: 2}
        schedule: {steps: 2, warmup_steps: 0}
        evaluation: {tasks: [{name: arc_easy, path: \(path), shots: 1, limit: 20}]}
        recovery: {merge: false}
        """.write(toFile: recipe, atomically: true, encoding: .utf8)
        let whole = try CommandRun.run(["run", recipe])
        #expect(whole.exitCode == 0, "\(whole.standardError)")
        let table = try JSONValue.parse(String(contentsOfFile: run + "/evaluation.json", encoding: .utf8))
        for (arm, adapter) in [("base", []), ("loram", ["--adapter", run + "/adapter"])] {
            let alone = try CommandRun.run(
                ["evaluate", "--model", model, "--task", "arc_easy=\(path)", "--shots", "1", "--limit", "20", "--json", "--set", "batch.micro=2",
                 "--set", "compute.type=bf16"] + adapter)
            #expect(try JSONValue.parse(alone.outputLines.last ?? "")["tasks"] == table[arm]?["tasks"], "\(alone.standardError)")
        }
        #expect(table["base"]?["tasks"]?["arc_easy"]?["questions"] == 20)
    }

    @Test func aRecipesWrongTaskIsNamedBeforeAnyWork() throws {
        let run = try CommandRun.run(["plan", "--model", "llama-2-7b", "--set", "evaluation.tasks=[{name: arc, path: x}]"])
        #expect(run.exitCode == 65 && run.standardError.contains("evaluation.tasks.0.name") && run.standardError.contains("arc_easy"), "\(run.standardError)")
    }

    @Test func wrongTasksAreNamed() throws {
        let run = try CommandRun.run(["evaluate", "--model", model, "--task", "arc=x.jsonl"])
        #expect(run.exitCode == 64 && run.standardError.contains("arc_easy"))
        #expect(try CommandRun.run(["evaluate", "--model", model]).exitCode == 64)
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `generate` as a user calls it.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"), .serialized)
struct GenerateTests {
    /// A model of four layers, in f32 and in NF4, and prompts of many lengths.
    static let prepared = Result { () throws -> (Project, base: String, quantized: String, prompts: String) in
        let project = try Project()
        var config = Project.config()
        config.maxPositionCount = 512
        let base = try project.writeCheckpoint("base", config), quantized = project.path("quantized")
        let outcome = try CommandRun.run(["quantize", "--model", base, "--output", quantized])
        try #require(outcome.exitCode == 0, "\(outcome.standardError)")
        var random = LinearCongruentialGenerator(seed: 2)
        let prompts = try project.write(
            "prompts.jsonl",
            [1, 20, 140, 7, 33, 16, 150].map { count in "{\"input_ids\": \([1] + (1..<count).map { _ in 3 + random.below(Project.vocabularySize - 3) })}" })
        return (project, base, quantized, prompts)
    }

    static let grids: [(GridVariant, batch: String)] = [
        (GridVariant(stages: 2, replicas: 1), "20"), (GridVariant(stages: 4, replicas: 1), "3"), (GridVariant(stages: 1, replicas: 2, threads: 2), "5"),
        (GridVariant(stages: 2, replicas: 2, threads: 2), "16"),
    ]

    private func completions(_ outcome: MPIRun.Outcome) throws -> [JSONValue] {
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let report = try JSONValue.parse(outcome.outputLines.last ?? "")
        #expect(report.objectMembers?.map(\.key) == ["completions", "prompt_tokens", "generated_tokens", "seconds", "tokens_per_second"])
        return try #require(report["completions"]?.arrayValue)
    }

    /// Greedy and drawn, in f32 and on NF4 in bf16: the same text on every grid, with every number of threads and every batch.
    @Test(arguments: [false, true], [0.0, 1.0]) func theSameTextOnEveryGrid(_ isQuantized: Bool, _ temperature: Double) throws {
        let (_, base, quantized, prompts) = try Self.prepared.get()
        let command = [
            "generate", "--model", isQuantized ? quantized : base, "--prompts", prompts, "--max-tokens", "24", "--temperature", "\(temperature)", "--top-p", "0.9",
            "--samples", temperature > 0 ? "2" : "1", "--json",
        ]
        let reference = try completions(GridVariant.plain.run(command + ["--batch", "1"]))
        #expect(reference.count == (temperature > 0 ? 14 : 7))
        for (grid, batch) in Self.grids {
            #expect(try completions(grid.run(command + ["--batch", batch])) == reference, "\(grid.testDescription), batch \(batch)")
        }
        guard temperature > 0 else { return }
        #expect(reference[0]["tokens"] != reference[1]["tokens"])
        let other = try completions(GridVariant.plain.run(command + ["--seed", "7"]))
        #expect(other != reference)
    }

    /// An adapter beside the weights writes what the merged model writes. All weights and factors are multiples of 1/16 and small, so that merging
    /// rounds nothing.
    @Test func adapterEqualsMergedModel() throws {
        let (project, _, _, prompts) = try Self.prepared.get()
        var config = Project.config()
        config.maxPositionCount = 512
        let base = try project.writeCheckpoint("sixteenths", config) { name, values in
            if !name.contains("norm") { values = values.map { ($0 * 100).rounded() / 16 } }
        }
        let adapter = project.path("adapter"), lora = LoRAConfig(rank: 2, alpha: 2, targets: LinearSite.allCases)
        let tensors = ModelStage.trainedTensors(config: config, range: .whole(config), training: .lora(lora)).map { ($0.name, $0.shape) }
        let writer = try AdapterWriter(path: adapter, lora: lora, tensors: tensors, baseModel: nil)
        var random = LinearCongruentialGenerator(seed: 8)
        for (name, shape) in tensors {
            let isA = name.contains("lora_A")
            let values = (0..<shape.reduce(1, *)).map { _ in isA ? Float(random.below(3) - 1) : Float(random.below(5) - 2) / 16 }
            try writer.append(values, count: values.count, to: name)
        }
        try writer.finish()
        let merged = project.path("merged")
        let merging = try CommandRun.run(["recover", "--model", base, "--adapter", adapter, "--output", merged, "--merge", "--compress", "none"])
        try #require(merging.exitCode == 0, "\(merging.standardError)")
        func tokens(_ more: [String], ranks: Int = 0) throws -> [JSONValue?] {
            try completions(CommandRun.run(["generate", "--prompts", prompts, "--max-tokens", "24", "--json"] + more, ranks: ranks)).map { $0["tokens"] }
        }
        let adapted = try tokens(["--model", base, "--adapter", adapter])
        #expect(try adapted == tokens(["--model", "\(merged)/model"]))
        #expect(try adapted == tokens(["--model", base, "--adapter", adapter, "--set", "parallel.stages=2"], ranks: 2))
        #expect(try adapted != tokens(["--model", base]))
    }

    /// Text of a real model, as it comes: transformers' own, on 1, 2 and 4 stages.
    @Test(.enabled(if: SharedData.path("models/stories260K") != nil, "shared data are absent"), arguments: [1, 2, 4])
    func pretrainedModel(_ stages: Int) throws {
        let model = SharedData.path("models/stories260K")!
        let entries = try #require(JSONValue.parse(contentsOf: Fixtures.path("generation/expected.json")).arrayValue)
        for entry in entries where entry["model"] == "stories260K" {
            let prompt = try #require(entry["text"]?.stringValue), expected = try #require(entry["continuation"]?.stringValue)
            let outcome = try GridVariant(stages: stages, replicas: 1, usesLauncher: stages > 1)
                .run(["generate", "--model", model, "--prompt", prompt, "--max-tokens", "200"])
            #expect(outcome.exitCode == 0 && outcome.standardOutput == expected + "\n", "\(outcome.standardError)")
            #expect(outcome.standardError.contains("200 tokens behind"))
        }
        guard stages == 2 else { return }
        let stopped = try GridVariant(stages: 2, replicas: 1).run(["generate", "--model", model, "--prompt", "Once upon a time", "--stop", "named", "--stop", "Lily."])
        #expect(stopped.standardOutput == ", there was a little girl \n")
    }

    @Test func severalPromptsAndOutput() throws {
        let (project, base, _, _) = try Self.prepared.get()
        let prompts = try project.write("two.jsonl", ["{\"prompt\": \"Ada finds\"}", "{\"prompt\": \"Noor hides\"}"]), output = project.path("out.jsonl")
        let command = ["generate", "--model", base, "--prompts", prompts, "--max-tokens", "6", "--samples", "2", "--temperature", "0.5", "--output", output]
        let outcome = try CommandRun.run(command, ranks: 2)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let lines = try String(contentsOfFile: output, encoding: .utf8).split(separator: "\n").map { try JSONValue.parse(String($0)) }
        #expect(lines.map { $0["prompt"] } == [0, 0, 1, 1] && lines.map { $0["sample"] } == [0, 1, 0, 1])
        let shown = ["1.1", "1.2", "2.1", "2.2"].enumerated().map { "[\($1)] \(lines[$0]["text"]!.stringValue!)\n" }.joined()
        #expect(outcome.standardOutput == shown)
    }

    static let wrong: [(String, [String], Int32, String)] = [
        ("no prompt at all", [], 64, "--prompt"),
        ("an empty prompt", ["--prompt", "", "--bos", "never"], 65, "prompt 1"),
        ("beyond the positions", ["--prompt", "Ada", "--max-tokens", "600"], 65, "max_position_embeddings"),
        ("an unknown template", ["--prompt", "Ada", "--template", "vicuna"], 65, "alpaca, llama-2, llama-3, chatml, none"),
        ("a template of other tokens", ["--prompt", "Ada", "--template", "llama-3"], 65, "start_header_id"),
        ("a negative temperature", ["--prompt", "Ada", "--temperature=-1"], 64, "temperature"),
        ("an empty stop string", ["--prompt", "Ada", "--stop", ""], 64, "stop"),
        ("a missing file", ["--prompts", "/nonexistent.jsonl"], 65, "nonexistent"),
        ("a missing adapter", ["--prompt", "Ada", "--adapter", "/nonexistent"], 65, "nonexistent"),
    ]

    @Test(arguments: wrong.indices) func mistakesAreOneLine(_ index: Int) throws {
        let (name, arguments, status, words) = Self.wrong[index], base = try Self.prepared.get().base
        for ranks in index == 2 || index == 5 ? [0, 2] : [0] {
            let outcome = try CommandRun.run(["generate", "--model", base] + arguments, ranks: ranks)
            #expect(outcome.exitCode == status && outcome.standardOutput.isEmpty, "\(name): \(outcome.exitCode) \(outcome.standardError)")
            #expect(outcome.ownErrorLines.count == 1 && outcome.standardError.contains(words), "\(name): \(outcome.standardError)")
        }
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Commands that report: what they print is one JSON value with the documented keys.
@Suite struct ReportTests {
    let project: Project

    init() throws {
        project = try Project()
    }

    func json(_ command: [String], ranks: Int = 0) throws -> JSONValue {
        let outcome = try CommandRun.run(command, ranks: ranks)
        #expect(outcome.exitCode == 0 && outcome.ownErrorLines.isEmpty, "\(outcome.standardError)")
        return try JSONValue.parse(outcome.standardOutput)
    }

    @Test func tokenizeGivesTheReferenceIDs() throws {
        let vectors = try JSONValue.parse(contentsOf: Fixtures.path("data/llama_like.json"))
        let texts = try #require(vectors["texts"]?.arrayValue)
        let lines = texts.map { JSONValue.object([JSONMember("text", $0["text"]!)]).serialized() }
        let file = try project.write("vectors.jsonl", lines)
        for (flags, bos) in [(["--no-special"], [JSONValue]()), ([], [.integer(1)])] {
            let outcome = try CommandRun.run(["tokenize", "--tokenizer", "\(project.model)/tokenizer.model", file] + flags)
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            let found = try outcome.outputLines.map { try JSONValue.parse($0)["ids"]?.arrayValue }
            #expect(found == texts.map { bos + $0["ids"]!.arrayValue! })
        }
        // A directory, and more ranks than needed: the same text once.
        let alone = try CommandRun.run(["tokenize", "--tokenizer", project.model, file])
        #expect(alone.outputLines.count == texts.count)
        if MPIRun.isAvailable {
            #expect(try CommandRun.run(["tokenize", "--tokenizer", project.model, file], ranks: 2).standardOutput == alone.standardOutput)
        }
    }

    @Test func inspectKnowsWhatACommandWrote() throws {
        let config = Project.config(), model = try project.writeCheckpoint("base", config)
        let base = try json(["inspect", model, "--json"])
        #expect(base["kind"] == "checkpoint" && base["parameters"] == .integer(config.parameterCount) && base["problem"] == nil)
        #expect(base["config"]?["layers"] == 4 && base["config"]?["dtype"] == "F32" && base["config"]?["tied"] == false)
        #expect(base["tensors"]?.arrayValue?.count == WeightLayout.names(config).count)
        #expect(base["tensors"]?[0]?.objectMembers?.map(\.key) == ["name", "dtype", "shape", "bytes", "file"])

        let report = try json([
            "prune", "--model", model, "--output", project.path("pruned"), "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1",
            "--json",
        ])
        #expect(report.objectMembers?.map(\.key) == ["method", "ratio", "original_parameters", "pruned_parameters", "reduction", "output", "bytes_read", "bytes_written"])
        let pruned = try json(["inspect", project.path("pruned"), "--json"])
        #expect(pruned["kind"] == "pruned checkpoint" && pruned["parameters"] == report["pruned_parameters"] && pruned["problem"] == nil)
        #expect(pruned["config"]?["key_value_heads"] == [2, 1, 1, 2] && pruned["plan"] != nil)

        #expect(try json(["inspect", project.model, "--json"])["kind"] == "model configuration")
        #expect(try json(["inspect", "\(model)/tokenizer.model", "--json"])["kind"] == "tokenizer")
        #expect(try json(["inspect", "\(model)/model.safetensors", "--json"])["tensor_count"] == .integer(WeightLayout.names(config).count))
        let adapter = try json(["inspect", Fixtures.path("formats/adapter"), "--json"])
        #expect(adapter["kind"] == "LoRA adapter" && adapter["rank"] != nil && adapter["targets"]?.arrayValue?.isEmpty == false)
    }

    @Test(arguments: [[], ["--full"], ["--dtype", "f32", "--quant", "none"], ["--recompute", "selective"], ["--kernels", "portable"], ["--recompute", "full"], ["--threads", "2", "--targets", "q_proj,lm_head"]])
    func benchStepReports(_ more: [String]) throws {
        let report = try json(
            ["bench", "step", "--hidden", "64", "--inter", "96", "--layers", "2", "--heads", "4", "--kv", "2", "--vocab", "97", "--batch", "2",
                "--seq", "16", "--steps", "2", "--json"] + more)
        #expect(
            report.objectMembers?.map(\.key) == [
                "tokens_per_second", "step_seconds", "step_gflop", "gflops", "peak_gflops", "limit_seconds", "fraction_of_limit", "peak_rss_mib", "loss",
                "threads", "compute", "quant", "kernels", "blas_core",
            ])
        for key in ["tokens_per_second", "step_seconds", "step_gflop", "peak_gflops", "limit_seconds", "peak_rss_mib", "loss"] {
            #expect(try #require(report[key]?.doubleValue) > 0, "\(key)")
        }
        let step = report["step_seconds"]!.doubleValue!
        #expect(relativeDifference(report["tokens_per_second"]!.doubleValue! * step, 32) < 1e-9)
        #expect(relativeDifference(report["gflops"]!.doubleValue! * step, report["step_gflop"]!.doubleValue!) < 1e-9)
    }

    @Test(arguments: [[], ["--dtype", "f32", "--product", "backward"], ["--quant", "none"], ["--kernels", "portable", "--threads", "2"]])
    func benchGemmReports(_ more: [String]) throws {
        for tokens in [1, 20] {
            let report = try json(["bench", "gemm", "--tokens", "\(tokens)", "--outputs", "33", "--inputs", "70", "--repeats", "2", "--json"] + more)
            #expect(report.objectMembers?.map(\.key) == ["kernels", "quant", "rows"])
            // A generation has no backward.
            let rows = try #require(report["rows"]?.arrayValue)
            #expect(rows.isEmpty == (tokens == 1 && more.contains("backward")))
            for row in rows {
                #expect(row["tokens"] == .integer(tokens) && row["outputs"] == 33 && row["inputs"] == 70)
                let seconds = try #require(row["seconds"]?.doubleValue), fraction = try #require(row["fraction_of_limit"]?.doubleValue)
                #expect(relativeDifference(row["gflops"]!.doubleValue! * seconds, 2e-9 * Double(tokens * 33 * 70)) < 1e-9)
                #expect(fraction > 0)
                #expect((row["limit_bytes_per_second"] != nil) == (tokens == 1))
            }
        }
    }

    @Test(arguments: [[], ["--no-double", "--threads", "2"]])
    func benchQuantizeReports(_ more: [String]) throws {
        let report = try json(["bench", "quantize", "--rows", "70", "--columns", "33", "--repeats", "2", "--json"] + more)
        #expect(report["double"] == .bool(more.isEmpty))
        for row in try #require(report["measurements"]?.arrayValue) {
            #expect(relativeDifference(row["bytes_per_second"]!.doubleValue! * row["seconds"]!.doubleValue!, 4 * 70 * 33) < 1e-9)
            #expect(try #require(row["memcpy_bytes_per_second"]?.doubleValue) > 0)
        }
    }

    @Test func dataReportsAFileOrARecipesFiles() throws {
        let text = try json(["data", project.texts, "--tokenizer", project.model, "--length", "24", "--json"])
        #expect(text["format"] == "text" && text["records"] == 40)
        let tokens = try json(["data", project.tokens, "--all-tokens", "--json"])
        let recipe = try project.write("recipe.yaml", [
            "model: \(project.model)", "data:", "  length: 24", "  train: [{path: \(project.texts), weight: 2}, {path: \(project.tokens)}]",
            "alignment: {data: {length: 512, packing: false, answers_only: false, train: [{path: \(project.tokens)}]}}",
        ])
        let files = try #require(try json(["data", "--recipe", recipe, "--json"]).arrayValue)
        #expect(files.count == 2 && files[0] == text && files[1]["path"] == .string(project.tokens))
        #expect(files[0]["lengths"]?["max"] == 24 && files[1]["records"] == 48)
        #expect(try json(["data", "--recipe", recipe, "--phase", "align", "--json"]) == .array([tokens]))
        // Flags and --set change the recipe.
        #expect(try json(["data", "--recipe", recipe, "--set", "data.length=26", "--json"])[0]?["lengths"]?["max"] == 26)
        #expect(try json(["data", "--recipe", recipe, "--length", "25", "--json"])[0]?["lengths"]?["max"] == 25)
        for (command, word) in [(["data"], "data.train"), (["data", "--phase", "align"], "alignment.data.train"), (["data", "--format", "text"], "--format")] {
            let outcome = try CommandRun.run(command)
            #expect(outcome.exitCode == 64 && outcome.ownErrorLines.count == 1 && outcome.standardError.contains(word), "\(outcome.standardError)")
        }
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func doctorLooksForARecipesFiles() throws {
        func findings(_ settings: [String]) throws -> [String] {
            let report = try json(["doctor", "--json"] + settings.flatMap { ["--set", $0] }, ranks: 2)
            return try #require(report["findings"]?.arrayValue).compactMap(\.stringValue)
        }
        let found = ["model=\(project.model)", "data.train=[{path: \(project.tokens)}]", "output=\(project.path("run"))"]
        let missing = project.path("missing.jsonl")
        let plain = try findings([])
        #expect(try findings(found) == plain)
        #expect(try findings(found + ["model=llama-2-7b"]) == plain)
        let lines = try findings(found + ["data.evaluation=[{name: a, path: \(missing)}]"]).filter { !plain.contains($0) }
        #expect(lines.count == 1 && lines[0].hasPrefix("\(missing): expected a file or directory"), "\(lines)")
        #expect(!FilePath.exists(project.path("run")))
    }

    /// No character of a path is YAML.
    @Test func pathsMayHoldAnyCharacter() throws {
        let model = try project.writeCheckpoint("a: [b] #c 'd"), output = project.path("out: {1}")
        let pruned = try CommandRun.run(["prune", "--model", model, "--output", output, "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"])
        #expect(pruned.exitCode == 0, "\(pruned.standardError)")
        let evaluated = try CommandRun.run(["evaluate", "--model", model, "--perplexity", project.texts, "--length", "32"])
        #expect(evaluated.exitCode == 0, "\(evaluated.standardError)")
    }

    @Test func helpAndVersionAreNoErrors() throws {
        let commands = [
            "", "plan", "prune", "align", "quantize", "train", "recover", "pack", "unpack", "verify", "diff", "evaluate", "data", "tokenize", "inspect",
            "run", "recipes", "report", "doctor", "bench", "bench step", "bench gemm", "bench quantize", "bench pack",
        ]
        for command in commands {
            let outcome = try CommandRun.run(command.split(separator: " ").map(String.init) + ["--help"])
            #expect(outcome.exitCode == 0 && outcome.standardError.isEmpty && outcome.standardOutput.contains("loram-mpi"), "\(command)")
        }
        #expect(try CommandRun.run(["--version"]).outputLines == ["0.1.0"])
    }
}

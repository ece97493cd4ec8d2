import LoRAMEngine
import TestSupport
import Testing

struct PlanTests {
    private func json(_ arguments: [String]) throws -> JSONValue {
        let outcome = try CommandRun.run(["plan", "--json", "--gflops", "50"] + arguments)
        try #require(outcome.exitCode == 0 && outcome.ownErrorLines.isEmpty, "\(outcome.standardError)")
        return try JSONValue.parse(outcome.standardOutput)
    }

    @Test func reportsAPresetWithoutWeights() throws {
        let plan = try json(["--model", "llama-2-70b", "--method", "stru", "--ratio", "0.85", "--quantization", "nf4", "--stages", "4", "--replicas", "2"])
        #expect(plan["original_parameters"] == 68_976_648_192 && plan["pruned_parameters"] == 16_272_924_672)
        #expect(plan["paper_parameters"] == 4_068_231_168 && plan["paper_bytes"] == 8_136_462_336)
        #expect(plan["stages"]?.arrayValue?.count == 4 && plan["grid"]?["ranks"] == 8)
        for key in ["reduction", "stored_bytes", "bubble", "step_seconds", "partition_efficiency"] { #expect(plan[key]?.doubleValue ?? 0 > 0, "\(key)") }
        #expect(plan["alignment"]?["tokens"] == 104_857_600 && plan["alignment"]?["flops"]?.doubleValue ?? 0 > 1e18)
        #expect(try json(["--model", "llama-2-13b", "--method", "semi", "--pattern", "4:8"])["pruned_parameters"] == 6_671_979_520)
        #expect(try json(["--model", "llama-2-13b", "--method", "unst"])["pruned_parameters"] == 6_037_591_040)
        #expect(plan["grid"]?["length"] == 512)
        let whole = try json(["--model", "llama-3.2-1b", "--ratio", "0"])
        #expect(whole["pruned_parameters"] == whole["original_parameters"] && whole["reduction"]?.doubleValue == 1)
    }

    /// What `prune` and `quantize` made is counted as it is, and as was foretold.
    @Test func checkpointsAreTakenAsTheyAre() throws {
        let project = try Project()
        let base = try project.writeCheckpoint("base"), pruned = project.path("pruned"), quantized = project.path("quantized")
        let pruning = ["--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"]
        for command in [["prune", "--model", base, "--output", pruned] + pruning, ["quantize", "--model", pruned, "--output", quantized]] {
            #expect(try CommandRun.run(command).exitCode == 0)
        }
        let foretold = try json(["--model", base, "--quantization", "nf4"] + pruning), found = try json(["--model", quantized])
        for key in ["original_parameters", "pruned_parameters", "reduction", "paper_bytes"] { #expect(found[key] == foretold[key], "\(key)") }
        // The model's positions are fewer than a sample's usual tokens.
        #expect(found["grid"]?["length"] == 128)
        let plain = try json(["--model", pruned]), planned = try json(["--model", base, "--set", "pruning.plan=\(pruned)/pruning_plan.json"])
        #expect(plain["method"] == "rand" && plain["ratio"]?.doubleValue == 0.5)
        #expect(found["quantization"] == "nf4" && plain["quantization"] == "none")
        #expect([plain, planned].allSatisfy { $0["pruned_parameters"] == found["pruned_parameters"] })
    }

    @Test func tablesForPeople() throws {
        let text = try CommandRun.run(["plan", "--model", "llama-2-70b", "--ratio", "0.85", "--gflops", "50", "--nodes", "4", "--cores", "8", "--memory", "64"])
        #expect(text.exitCode == 0 && text.standardOutput.contains("alternatives") && text.standardOutput.contains("16,272,924,672"))
        let paper = try CommandRun.run(["plan", "--paper"])
        #expect(paper.exitCode == 0 && paper.standardOutput.contains("table 6") && paper.standardOutput.contains("6,671,979,520"))
        #expect(try JSONValue.parse(CommandRun.run(["plan", "--paper", "--json"]).standardOutput).arrayValue?.count ?? 0 > 10)
        // A speed measured here, and every rank of a job but one waiting.
        if MPIRun.isAvailable {
            let measured = try CommandRun.run(["plan", "--model", "llama-3.2-1b", "--ratio", "0", "--json"], ranks: 2)
            #expect(try JSONValue.parse(measured.standardOutput)["speed"]?["gflops_origin"] == "measured")
        }
    }

    @Test(arguments: [
        (["--model", "llama-2-70b", "--ratio", "1"], Int32(65), "pruning.ratio"), (["--model", "llama-2-70b", "--method", "none"], 65, "rand"),
        (["--model", "llama-2-70b", "--stages", "81"], 64, "80"), (["--model", "llama-2-70b", "--replicas", "3"], 64, "replicas"),
        (["--model", "nothing"], 65, "llama-2-70b"), (["--ratio", "0.5"], 64, "model"), (["--model", "llama-2-7b", "--nodes", "0"], 64, "nodes"),
        (["--model", "llama-2-7b", "--memory", "8"], 64, "--nodes"), (["--model", "llama-2-7b", "--targets", "x_proj"], 65, "lora.targets"),
        (["--model", "llama-2-70b", "--nodes", "1", "--cores", "2", "--memory", "4"], 64, "such nodes would do"),
        (["--model", "llama-2-7b", "--bandwidth", "0"], 64, "expected 0.001 to 1000000, found 0"),
        (["--model", "llama-2-7b", "--nodes", "2", "--stages", "2"], 64, "--stages"), (["--model", "llama-2-7b", "--nodes", "2", "--replicas", "2"], 64, "--replicas"),
        (["--model", "llama-2-7b", "--keep-first", "32"], 65, "32 layers"), (["--model", "llama-2-7b", "--length", "5000"], 65, "4096"),
    ])
    func mistakesAreOneLine(arguments: [String], status: Int32, word: String) throws {
        let outcome = try CommandRun.run(["plan", "--gflops", "50"] + arguments)
        #expect(outcome.exitCode == status && outcome.ownErrorLines.count == 1 && outcome.standardOutput.isEmpty, "\(outcome.standardError)")
        #expect(outcome.standardError.contains(word), "\(outcome.standardError)")
    }

    /// A model that no machine of the test's kind can hold ends in one line before anything is allocated.
    @Test(.enabled(if: MPIRun.isAvailable && Machine.memoryByteCount < 512 << 30, "mpirun is not installed, or the machine holds a 70B model"))
    func autoRefusesAGridThatDoesNotFit() throws {
        let project = try Project()
        let output = project.path("run")
        let outcome = try CommandRun.run(
            ["train"]
                + settings([
                    ("model", "llama-2-70b"), ("synthetic_seed", "1"), ("output", output), ("data.train", "[{path: \(project.tokens)}]"),
                    ("batch.global", "8"), ("parallel.threads", "1"),
                ]), ranks: 2)
        #expect(outcome.exitCode == 64 && outcome.ownErrorLines.count == 1, "\(outcome.standardError)")
        #expect(outcome.standardError.contains("would fit"), "\(outcome.standardError)")
    }

    // MARK: - Memory of a real run

    /// Trains for two updates, and compares the largest rank's peak resident set, mapped files included, with what `plan` foretold.
    private func expectForetoldMemory(_ setting: [(String, String)], ranks: Int, of project: Project, seed: [(String, String)] = []) throws {
        let output = project.path("run")
        let setting = setting + [
            ("output", output), ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "128"), ("batch.global", "32"), ("batch.micro", "8"),
            ("schedule.steps", "2"), ("lora.rank", "64"), ("parallel.threads", "1"), ("recovery.merge", "false"),
        ]
        let foretold = try json(["--ratio", "0"] + settings(setting))
        let outcome = try CommandRun.run(["train"] + settings(setting + seed), ranks: ranks)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let measured = try #require(RunOutput(path: output).numbers("peak_rss_mib").last)
        let expected = try #require(foretold["peak_rank_bytes"]?.doubleValue) / Double(1 << 20)
        #expect(abs(expected / measured - 1) < 0.05, "foretold \(expected) MiB, measured \(measured) MiB")
    }

    /// Where buffers outweigh the program.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"), arguments: [[1, 1], [2, 1], [2, 2], [4, 1]], ["full none f32", "none nf4 bf16", "selective none f32"])
    func memoryOfARunIsAsForetold(shape: [Int], compute: String) throws {
        let compute = compute.split(separator: " ").map(String.init)
        let project = try Project(layers: 6, hidden: 256, sampleLength: 128...128)
        try expectForetoldMemory(
            [
                ("model", project.model), ("parallel.stages", "\(shape[0])"), ("parallel.replicas", "\(shape[1])"), ("compute.recompute", compute[0]),
                ("quantization.type", compute[1]), ("compute.type", compute[2]), ("compute.weights", "resident"),
            ], ranks: shape[0] * shape[1], of: project, seed: [("synthetic_seed", "5")])
    }

    /// Masked products need scratch of their own, and the masks' pages.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"), arguments: ["training", "recovery"])
    func memoryOfMaskedTrainingIsAsForetold(mask: String) throws {
        let project = try Project(layers: 6, hidden: 256, sampleLength: 128...128)
        let base = try project.writeCheckpoint("base", Project.config(layers: 6, hidden: 256)), sparse = project.path("sparse")
        #expect(try CommandRun.run(["prune", "--model", base, "--output", sparse, "--method", "semi", "--pattern", "2:4", "--score", "magnitude"]).exitCode == 0)
        let found = try json(["--model", sparse])
        #expect(found["method"] == "semi" && found["ratio"]?.doubleValue == 0.5 && found["pattern"] == "2:4")
        #expect(found["pruned_parameters"] == (try json(["--model", base, "--method", "semi", "--pattern", "2:4"])["pruned_parameters"]))
        try expectForetoldMemory(
            [
                ("model", sparse), ("parallel.stages", "2"), ("parallel.replicas", "1"), ("lora.mask", mask), ("quantization.type", "none"),
                ("compute.type", "f32"), ("compute.weights", "mapped"),
            ], ranks: 2, of: project)
    }

    /// `train` quantizes unless told otherwise; `plan` plans what it would do, and counts the model as the paper does.
    @Test func weightsAreQuantizedByDefault() throws {
        let plan = try json(["--model", "llama-2-13b", "--method", "rand", "--ratio", "0.65"])
        let plain = try json(["--model", "llama-2-13b", "--method", "rand", "--ratio", "0.65", "--quantization", "none"])
        let quantized = try json(["--model", "llama-2-13b", "--method", "rand", "--ratio", "0.65", "--quantization", "nf4"])
        #expect(plan["weights"] == "nf4" && plain["weights"] == "none" && plan["stages"]?[0]?["weights_bytes"] == quantized["stages"]?[0]?["weights_bytes"])
        #expect(plan["paper_bytes"] == plain["paper_bytes"] && plan["stored_bytes"] == plain["stored_bytes"])
        #expect(abs(plan["reduction"]!.doubleValue! - 2.17) < 0.005)
        // A key's name in another key's value is not the key.
        let named = try json(["--model", "llama-2-13b", "--method", "rand", "--ratio", "0.65", "--set", "output=quantization/data.length"])
        let set = try json(["--model", "llama-2-13b", "--method", "rand", "--ratio", "0.65", "--set", "quantization.double=false"])
        #expect(named["paper_bytes"] == plain["paper_bytes"] && set["paper_bytes"] == quantized["paper_bytes"])
        // Alignment trains plain weights.
        #expect(try json(["--model", "llama-2-13b", "--phase", "align"])["weights"] == "none")
    }
}

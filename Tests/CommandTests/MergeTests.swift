import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct MergeTests {
    /// A sharded base, and an adapter trained on a pruned model of it.
    static let prepared = Result { () throws -> (Project, base: String, pruned: String, adapter: String) in
        let project = try Project()
        var config = Project.config()
        config.dtype = .bf16
        let whole = try project.writeCheckpoint("whole", config), base = project.path("base"), pruned = project.path("pruned")
        // In shards, so that there is something to share out.
        let source = try Checkpoint(directory: whole), weights = WeightLayout.names(config)
        let writer = try CheckpointWriter(
            path: base, tensors: weights.map { TensorInfo(name: $0.name, dtype: .bf16, shape: $0.shape) }, configuration: source.configuration,
            companionsFrom: whole, maxShardByteCount: 20_000)
        for (name, _) in weights { try source.tensor(name).withBytes { try writer.append($0, to: name) } }
        try writer.finish()
        for command in [
            ["prune", "--model", base, "--output", pruned, "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"],
            ["train"]
                + settings([
                    ("model", base), ("trained_on", pruned), ("output", project.path("run")), ("data.train", "[{path: \(project.tokens)}]"),
                    ("data.length", "24"), ("batch.global", "4"), ("batch.micro", "2"), ("schedule.steps", "3"), ("optimizer.learning_rate", "0.05"),
                    ("schedule.warmup_steps", "0"), ("lora.targets", "[q_proj, o_proj, gate_proj, down_proj, lm_head]"),
                ]),
        ] {
            let outcome = try CommandRun.run(command)
            try #require(outcome.exitCode == 0, "\(outcome.standardError)")
        }
        return (project, base, pruned, project.path("run/adapter-pruned"))
    }

    func recover(_ output: String, ranks: Int, _ more: [String] = []) throws -> MPIRun.Outcome {
        let (_, base, pruned, adapter) = try Self.prepared.get()
        return try CommandRun.run(
            ["recover", "--model", base, "--pruned", pruned, "--adapter", adapter, "--output", output, "--merge"] + more, ranks: ranks)
    }

    func contents(_ path: String) throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in try FilePath.names(inDirectory: path) where !FilePath.isDirectory("\(path)/\(name)") { result[name] = try FileSystem.read("\(path)/\(name)") }
        return result
    }

    @Test func theSameFilesOnAnyNumberOfRanks() throws {
        let project = try Self.prepared.get().0
        for ranks in [0, 2, 4] {
            let outcome = try recover(project.path("m\(ranks)"), ranks: ranks)
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        }
        let reference = try contents(project.path("m0/model"))
        #expect(reference.keys.contains("checkpoint.json") && reference.keys.contains { $0.hasSuffix("-of-00012.safetensors.planes") || $0.hasSuffix(".safetensors.planes") })
        for ranks in [2, 4] { #expect(try contents(project.path("m\(ranks)/model")) == reference) }
        // train's own end.
        #expect(try contents(project.path("run/model")) == reference)
        #expect(try FilePath.names(inDirectory: project.path("m4")) == ["adapter", "model"])
        let verified = try CommandRun.run(["verify", project.path("m4/model")])
        #expect(verified.exitCode == 0, "\(verified.standardError)")
    }

    /// The merged model scores as the base with the adapter does, up to bf16; a `base` checkpoint exactly as the merged one.
    @Test func theMergedModelIsTheBaseWithTheAdapter() throws {
        let (project, base, _, _) = try Self.prepared.get()
        var scores: [Double] = []
        for codec in ["base", "none"] {
            let outcome = try recover(project.path("c-\(codec)"), ranks: 2, ["--compress", codec])
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        }
        for arguments in [
            ["--model", base], ["--model", base, "--adapter", project.path("c-none/adapter")], ["--model", project.path("c-none/model")],
            ["--model", project.path("c-base/model")],
        ] {
            let outcome = try CommandRun.run(["evaluate", "--perplexity", project.texts, "--length", "32", "--json"] + arguments)
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            scores.append(try #require(JSONValue.parse(outcome.standardOutput)["nll"]?.doubleValue))
        }
        #expect(abs(scores[0] - scores[1]) > 0.02, "the adapter does something")
        #expect(abs(scores[1] - scores[2]) < 0.01 && scores[2] == scores[3])
    }

    @Test func wrongPlanAndWrongModelAreNamed() throws {
        let (project, _, pruned, adapter) = try Self.prepared.get()
        let other = try project.writeCheckpoint("other-\(UUID().uuidString)", Project.config(layers: 3))
        for (arguments, word) in [
            (["--model", other, "--pruned", pruned], "plan"), (["--model", other], "expected"),
        ] {
            let output = project.path("bad-\(UUID().uuidString)")
            let outcome = try CommandRun.run(["recover", "--adapter", adapter, "--output", output, "--merge"] + arguments, ranks: 2)
            #expect(outcome.exitCode == 65 && outcome.ownErrorLines.count == 1, "\(outcome.standardError)")
            #expect(outcome.standardError.contains(word) && !FilePath.exists("\(output)/model"))
        }
    }

    /// Transformers and PEFT see the same model.
    @Test(.enabled(if: ReferencePython.isPresent, "LORAM_PYTHON is not set")) func logitsEqualThoseOfPEFT() throws {
        let (project, base, _, _) = try Self.prepared.get()
        let outcome = try recover(project.path("peft"), ranks: 2, ["--compress", "none"])
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let checked = try ReferencePython.run("check_merged_in_peft.py", [base, project.path("peft/adapter"), project.path("peft/model")])
        #expect(checked.exitCode == 0, "\(checked.output)")
    }
}

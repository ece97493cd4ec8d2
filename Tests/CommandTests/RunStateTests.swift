import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// What one run directory keeps of its phases: none spoils another's, and none goes on with what it was not begun with.
@Suite struct RunStateTests {
    let project: Project
    let model: String

    init() throws {
        project = try Project(sampleCount: 24, sampleLength: 20...32)
        model = try project.writeCheckpoint("base")
    }

    var run: RunOutput { RunOutput(path: project.path("run")) }

    /// Settings of every phase in the run directory `output`.
    func recipe(_ output: String = "run", _ more: [(String, String)] = []) -> [String] {
        settings(
            [
                ("model", model), ("output", project.path(output)), ("pruning.method", "rand"), ("pruning.ratio", "0.5"), ("pruning.keep_first", "1"),
                ("pruning.keep_last", "1"), ("alignment.data.train", "[{path: \(project.texts)}]"), ("alignment.data.length", "32"),
                ("alignment.batch.global", "8"), ("alignment.batch.micro", "4"), ("alignment.schedule.steps", "4"),
                ("alignment.schedule.warmup_steps", "1"), ("alignment.checkpoint.every", "2"), ("lora.rank", "4"),
                ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "32"), ("batch.global", "8"), ("batch.micro", "4"),
                ("schedule.steps", "4"), ("schedule.warmup_steps", "1"), ("checkpoint.every", "2"), ("recovery.merge", "false"),
            ] + more)
    }

    /// As `run` takes it.
    func recipeFile(_ output: String) throws -> String {
        let text = try Recipe.load(file: nil, overrides: recipe(output).filter { $0 != "--set" }).resolvedYAML()
        return try project.write("\(output).yaml", [text])
    }

    func expect(_ outcome: MPIRun.Outcome, _ status: Int32, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(outcome.exitCode == status, "\(outcome.standardError)", sourceLocation: sourceLocation)
        if status != 0 { #expect(outcome.ownErrorLines.count == 1, "\(outcome.standardError)", sourceLocation: sourceLocation) }
        for word in words { #expect(outcome.standardError.contains(word), "\(word): \(outcome.standardError)", sourceLocation: sourceLocation) }
    }

    @Test func aCompleteAlignmentIsNotRepeated() throws {
        expect(try CommandRun.run(["align", "--resume=auto"] + recipe()), 0)
        let aligned = try run.bytes("aligned/model.safetensors")
        expect(try CommandRun.run(["train", "--resume=auto"] + recipe()), 0)
        #expect(run.names.contains("report.html"))
        let states = Set(try FileManager.default.contentsOfDirectory(atPath: "\(run.path)/checkpoints"))
        #expect(!states.isEmpty)
        expect(try CommandRun.run(["align", "--resume=auto"] + recipe()), 0, "is complete")
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: "\(run.path)/checkpoints")) == states)
        #expect(try run.bytes("aligned/model.safetensors") == aligned)
        expect(try CommandRun.run(["train", "--resume"] + recipe()), 0)
    }

    /// Killed between its last commit and its result.
    @Test func trainingWaitsForTheAlignment() throws {
        expect(try CommandRun.run(["align"] + recipe()), 0)
        let states = Set(try FileManager.default.contentsOfDirectory(atPath: "\(run.path)/checkpoints"))
        try FileManager.default.removeItem(atPath: "\(run.path)/aligned")
        expect(try CommandRun.run(["train", "--resume=auto"] + recipe()), 65, "align", "update 4")
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: "\(run.path)/checkpoints")) == states && !states.isEmpty)
        expect(try CommandRun.run(["align", "--resume"] + recipe()), 0)
        expect(try CommandRun.run(["train", "--resume=auto"] + recipe()), 0, "\(run.path)/aligned")
    }

    @Test func aRunDirectoryHasOneJob() throws {
        try FileManager.default.createDirectory(atPath: run.path, withIntermediateDirectories: true)
        let lock = open("\(run.path)/.lock", O_RDWR | O_CREAT, 0o644)
        #expect(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        expect(try CommandRun.run(["train", "--resume=auto"] + recipe()), 1, "only job")
        expect(try CommandRun.run(["run", recipeFile("run")]), 1, "only job")
        close(lock)
        expect(try CommandRun.run(["train", "--resume=auto"] + recipe()), 0)
    }

    @Test func anotherCheckpointIsNotGoneOnWith() throws {
        for (name, seed) in [("one", "1"), ("two", "2")] {
            expect(
                try CommandRun.run(
                    ["prune", "--model", model, "--output", project.path(name), "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1", "--seed", seed]), 0)
        }
        func train(_ base: String, _ more: [(String, String)] = []) throws -> MPIRun.Outcome {
            try CommandRun.run(["train", "--resume=auto"] + recipe("run", [("trained_on", project.path(base))] + more))
        }
        expect(try train("one"), 0)
        expect(try train("two"), 65, "the checkpoint that is trained")
        // What made the checkpoint no longer matters, nor where it lies.
        try FileManager.default.moveItem(atPath: project.path("one"), toPath: project.path("moved"))
        expect(try train("moved", [("pruning.calibration.samples", "5")]), 0)

        // The same shapes, other heads.
        let adapter = "\(run.path)/adapter-pruned"
        expect(try CommandRun.run(["evaluate", "--model", project.path("two"), "--adapter", adapter, "--perplexity", project.texts, "--length", "32"]), 65, "plan")
        expect(try CommandRun.run(["generate", "--model", project.path("two"), "--adapter", adapter, "--prompt", "Ada", "--max-tokens", "2"]), 65, "plan")
        func begin(_ base: String, _ more: (String, String)...) throws -> MPIRun.Outcome {
            try CommandRun.run(["train"] + recipe("begun-\(base)", [("trained_on", project.path(base)), ("lora.init_adapter", adapter)] + more))
        }
        expect(try begin("two"), 65, "plan")
        expect(try begin("moved", ("lora.alpha", "99")), 65, "scale")
        expect(try begin("moved"), 0)
    }

    @Test func theModelIsTheOneThatWasPruned() throws {
        expect(try CommandRun.run(["align"] + recipe()), 0)
        var other = Project.config()
        other.rope.theta = 20000
        let path = try project.writeCheckpoint("other", other)
        expect(try CommandRun.run(["train"] + recipe("run", [("trained_on", "\(run.path)/aligned")])), 0)
        expect(try CommandRun.run(["prune", "--output", project.path("pruned"), "--model", model, "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"]), 0)
        expect(try CommandRun.run(["train"] + recipe("wrong", [("trained_on", project.path("pruned")), ("model", path)])), 65)
        let wide = try project.writeCheckpoint("wide", Project.config(hidden: 64))
        expect(try CommandRun.run(["train"] + recipe("wide-run", [("trained_on", model), ("model", wide)])), 65, "another shape")
        #expect(!FileManager.default.fileExists(atPath: project.path("wrong")) && !FileManager.default.fileExists(atPath: project.path("wide-run")))
    }

    @Test(arguments: [("[lm_hed]", "lm_hed"), ("['*']", "all of them")]) func frozenNames(_ frozen: String, _ word: String) throws {
        expect(try CommandRun.run(["align"] + recipe("run", [("alignment.frozen", frozen)])), 65, word)
    }

    // MARK: - run

    @Test func aPhaseThatIsNoLongerAskedForDoesNotCount() throws {
        let file = try recipeFile("run"), fresh = try recipeFile("fresh"), without = ["--set", "quantization.type=none", "--set", "alignment.data.train=[]"]
        expect(try CommandRun.run(["run", file]), 0)
        let whole = try run.bytes("adapter/adapter_model.safetensors")
        expect(try CommandRun.run(["run", file] + without), 0, "\(run.path)/pruned")
        expect(try CommandRun.run(["run", fresh] + without), 0)
        #expect(try run.bytes("adapter/adapter_model.safetensors") == RunOutput(path: project.path("fresh")).bytes("adapter/adapter_model.safetensors"))
        #expect(try run.bytes("adapter/adapter_model.safetensors") != whole)
    }

    /// Killed after a result had its name and before that was recorded.
    @Test(arguments: ["prune", "align", "quantize", "train"]) func aResultThatWasNotRecorded(_ phase: String) throws {
        let file = try recipeFile("run")
        expect(try CommandRun.run(["run", file]), 0)
        let adapter = try run.bytes("adapter/adapter_model.safetensors"), path = "\(run.path)/phases.json"
        var record = try JSONValue.parse(contentsOf: path)
        func without(_ json: JSONValue) -> JSONValue {
            guard let members = json.objectMembers else { return json }
            return .object(members.filter { $0.key != "outputs" }.map { JSONMember($0.key, without($0.value)) })
        }
        let order = ["prune", "align", "quantize", "train"], results = ["pruned", "aligned", "quantized", "adapter"]
        func cut(_ json: JSONValue) -> JSONValue {
            guard let members = json.objectMembers else { return json }
            return .object(
                members.compactMap { member in
                    guard let place = order.firstIndex(of: member.key) else { return JSONMember(member.key, cut(member.value)) }
                    let own = order.firstIndex(of: phase)!
                    return place < own ? member : place == own ? JSONMember(member.key, without(member.value)) : nil
                })
        }
        record = cut(record)
        try record.serialized().write(toFile: path, atomically: true, encoding: .utf8)
        for result in results[(order.firstIndex(of: phase)! + 1)...] + ["adapter-pruned"] where phase != "train" {
            try? FileManager.default.removeItem(atPath: "\(run.path)/\(result)")
        }
        expect(try CommandRun.run(["run", file]), 0)
        #expect(try run.bytes("adapter/adapter_model.safetensors") == adapter)
    }

    @Test func allFilesAreThereBeforeTheFirstPhase() throws {
        let file = try recipeFile("run")
        for key in ["data.train.0.path", "alignment.data.train.0.path", "lora.init_adapter"] {
            expect(try CommandRun.run(["run", file, "--set", "\(key)=\(project.path("nowhere"))"]), 65, "nowhere")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(run.path)/pruned"))
    }

    // MARK: - Around the work

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed")) func aTrainersRecipeEvaluates() throws {
        let outcome = try CommandRun.run(
            ["evaluate", "--perplexity", project.texts, "--length", "32", "--json"]
                + recipe("run", [("parallel.coordinator", "dedicated"), ("evaluation.full_model", "checkpoint")]), ranks: 2)
        expect(outcome, 0)
        #expect(outcome.standardOutput.contains("perplexity"))
    }

    @Test func outputsAreTriedBeforeTheWork() throws {
        let nowhere = project.path("nowhere/x")
        for command in [["evaluate", "--perplexity", project.texts, "--length", "32", "--log", nowhere], ["generate", "--prompt", "Ada", "--max-tokens", "2", "--output", nowhere]] {
            let outcome = try CommandRun.run(command + ["--model", model])
            expect(outcome, 1, "nowhere")
            #expect(outcome.standardOutput.isEmpty)
        }
        try FileManager.default.createDirectory(atPath: project.path("nowhere"), withIntermediateDirectories: true)
        expect(try CommandRun.run(["generate", "--model", model, "--prompt", "Ada", "--max-tokens", "2", "--output", nowhere]), 0)
    }

    @Test func aFullDiskBehindStandardOutput() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try MPIRun.executable("loram-mpi"))
        process.arguments = ["inspect", model]
        process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 1 && text.contains("standard output") && text.split(separator: "\n").count == 1, "\(text)")
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `run` drives all phases, leaves out what is done, and survives being cut off anywhere.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct WorkflowTests {
    let project: Project
    let model: String

    init() throws {
        project = try Project(sampleCount: 48, sampleLength: 40...64)
        model = try project.writeCheckpoint("base")
    }

    /// A recipe of every phase.
    func recipe(_ output: String, steps: Int = 12) throws -> String {
        let path = project.path("\(output).yaml")
        try """
        model: \(model)
        output: \(project.path(output))
        pruning: {method: rand, ratio: 0.5, keep_first: 1, keep_last: 1}
        alignment:
          data: {train: [{path: \(project.texts)}], length: 32}
          batch: {global: 8, micro: 2}
          schedule: {steps: \(steps), warmup_steps: 1}
          checkpoint: {every: 3}
        lora: {rank: 4}
        data: {train: [{path: \(project.tokens)}], evaluation: [{name: texts, path: \(project.texts)}], length: 64}
        batch: {global: 8, micro: 2}
        schedule: {steps: \(steps), warmup_steps: 1}
        checkpoint: {every: 3}
        evaluation: {every: 6}
        recovery: {merge: false}
        """.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    func lines(_ outcome: MPIRun.Outcome) -> Set<String> {
        Set(outcome.standardError.split(separator: "\n").map(String.init))
    }

    static let results = ["pruned/model.safetensors", "aligned/model.safetensors", "quantized/model.safetensors", "adapter/adapter_model.safetensors", "evaluation.json"]

    @Test func whatIsDoneIsSkippedAndWhatChangedIsDoneAgain() throws {
        let command = try ["run", recipe("run")]
        let dry = try CommandRun.run(command + ["--dry-run"])
        #expect(dry.exitCode == 0 && dry.standardOutput.contains("prune: starts") && dry.standardOutput.contains("evaluate: starts"), "\(dry.standardError)")
        #expect(!FileManager.default.fileExists(atPath: project.path("run")))

        let first = try CommandRun.run(command, ranks: 2)
        #expect(first.exitCode == 0, "\(first.standardError)")
        let run = RunOutput(path: project.path("run")), before = try Self.results.map { try run.bytes($0) }
        let phases = ["prune", "align", "quantize", "train", "evaluate"]
        #expect(lines(first).isSuperset(of: phases.map { "\($0): starts" }))

        let second = try CommandRun.run(command)
        #expect(second.exitCode == 0 && lines(second) == Set(phases.map { "\($0): done already" }), "\(second.standardError)")

        let changed = try CommandRun.run(command + ["--set", "lora.rank=2"])
        #expect(changed.exitCode == 0)
        #expect(lines(changed).isSuperset(of: ["quantize: done already", "train: done again, since lora.rank was 4, is 2"]), "\(changed.standardError)")
        #expect(try run.bytes(Self.results[3]) != before[3] && run.bytes(Self.results[1]) == before[1])

        // Back to where it was: the same bits, from the aligned model on.
        #expect(try CommandRun.run(command, ranks: 2).exitCode == 0)
        #expect(try Self.results.map { try run.bytes($0) } == before)

        // Somebody touched a result.
        try FileManager.default.removeItem(atPath: project.path("run/quantized/model.safetensors"))
        let healed = try CommandRun.run(command)
        #expect(healed.exitCode == 0 && healed.standardError.contains("quantize: done again, since its results have changed"), "\(healed.standardError)")
        #expect(try Self.results.map { try run.bytes($0) } == before)

        let only = try CommandRun.run(["run", recipe("other"), "--only", "train"])
        #expect(only.exitCode == 64 && only.ownErrorLines.count == 1 && only.ownErrorLines[0].contains("quantize"), "\(only.standardError)")
    }

    /// SIGKILL, then SIGUSR2, at moments spread over all phases.
    @Test(arguments: [SIGKILL, SIGUSR2]) func cutOffAnywhere(_ signal: Int32) throws {
        let whole = try CommandRun.run(["run", recipe("whole")], ranks: 2)
        #expect(whole.exitCode == 0, "\(whole.standardError)")
        let expected = try Self.results.map { try RunOutput(path: project.path("whole")).bytes($0) }
        let curve = try RunOutput(path: project.path("whole")).curve()

        let command = try ["run", recipe("cut")]
        var random = LinearCongruentialGenerator(seed: UInt64(signal)), cuts = 0
        for _ in 0..<(signal == SIGKILL ? 10 : 5) {
            let pause = UInt32(150_000 + random.below(900_000))
            let outcome = try CommandRun.run(command, ranks: 2) { job in
                usleep(pause)
                if signal == SIGKILL { job.killLastRank() } else { job.signalRanks(signal) }
            }
            if signal == SIGKILL, outcome.exitCode != 0 { cuts += 1 }
        }
        if signal == SIGKILL { #expect(cuts > 0, "the run was never cut off") }
        let last = try CommandRun.run(command, ranks: 2)
        #expect(last.exitCode == 0, "\(last.standardError)")
        let run = RunOutput(path: project.path("cut"))
        for (name, bytes) in zip(Self.results, expected) { #expect(try run.bytes(name) == bytes, "\(name)") }
        #expect(try run.curve() == curve)
    }

    /// USR1 writes a checkpoint between the regular ones and changes nothing else.
    @Test func checkpointOnSignal() throws {
        func command(_ output: String) -> [String] {
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", project.path(output)), ("data.train", "[{path: \(project.tokens)}]"),
                    ("data.length", "64"), ("batch.global", "16"), ("batch.micro", "2"), ("schedule.steps", "100"), ("checkpoint.every", "100"),
                    ("checkpoint.keep", "5"), ("recovery.merge", "false"),
                ])
        }
        #expect(try CommandRun.run(command("plain"), ranks: 2).exitCode == 0)
        let outcome = try CommandRun.run(command("signalled"), ranks: 2) { job in
            let metrics = project.path("signalled/metrics.jsonl")
            while job.isRunning, (FileManager.default.contents(atPath: metrics)?.count ?? 0) == 0 { usleep(500) }
            job.signalRanks(SIGUSR1)
        }
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let steps = try FileManager.default.contentsOfDirectory(atPath: project.path("signalled/checkpoints"))
        // The signal reaches two ranks at different moments: one or two checkpoints.
        #expect(steps.count >= 2 && outcome.standardError.contains("SIGUSR1"), "\(steps)")
        for name in ["adapter/adapter_model.safetensors"] {
            #expect(try RunOutput(path: project.path("signalled")).bytes(name) == RunOutput(path: project.path("plain")).bytes(name))
        }
    }

    @Test func doctorSpeaksForEveryRank() throws {
        let outcome = try CommandRun.run(["doctor", "--json"], ranks: 3)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let report = try JSONValue.parse(outcome.standardOutput)
        #expect(report["ranks"]?.arrayValue?.map { $0["rank"] } == [0, 1, 2])
        #expect(report["mpirun"]?.stringValue?.contains("-np 3") == true)
    }
}

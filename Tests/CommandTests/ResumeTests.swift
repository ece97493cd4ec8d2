import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// A run that lost a rank to SIGKILL goes on from its last commit, on any grid, to the bits of the uninterrupted one.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct ResumeTests {
    static let commitStep = 8

    /// Enough work an update that a run is still going on when its commit is seen.
    let project: Project

    init() throws {
        project = try Project(hidden: 64, sampleCount: 96, sampleLength: 40...64)
    }

    func trainCommand(_ output: String) -> [String] {
        ["train"]
            + settings([
                ("model", project.model), ("synthetic_seed", "5"), ("output", project.path(output)), ("lora.rank", "4"), ("lora.dropout", "0.1"),
                ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "64"), ("batch.global", "32"), ("batch.micro", "2"),
                ("optimizer.learning_rate", "0.005"), ("schedule.warmup_steps", "2"), ("schedule.steps", "24"), ("checkpoint.every", "4"),
            ])
    }

    func alignCommand(_ output: String) -> [String] {
        ["align"]
            + settings([
                ("model", project.model), ("synthetic_seed", "5"), ("output", project.path(output)), ("alignment.frozen", "[]"),
                ("alignment.data.train", "[{path: \(project.tokens)}]"), ("alignment.data.length", "64"), ("alignment.batch.global", "16"),
                ("alignment.batch.micro", "2"), ("alignment.schedule.warmup_steps", "2"), ("alignment.schedule.steps", "24"),
                ("alignment.checkpoint.every", "4"), ("alignment.checkpoint.keep", "2"),
            ])
    }

    /// Starts a command and kills its last rank once the commit of `commitStep` is there.
    func kill(_ command: [String], _ grid: GridVariant, _ output: String) throws {
        let commit = project.path("\(output)/checkpoints/step-0000000\(Self.commitStep)")
        let placed = command + settings([("parallel.stages", "\(grid.stages)"), ("parallel.replicas", "\(grid.replicas)"), ("parallel.threads", "1")])
        let outcome = try CommandRun.run(placed, ranks: grid.rankCount) { job in
            while job.isRunning, !FileManager.default.fileExists(atPath: commit) { usleep(500) }
            job.killLastRank()
        }
        #expect(outcome.exitCode != 0, "the run ended before it could be killed")
        let steps = try RunOutput(path: project.path(output)).numbers("step")
        #expect(steps.count < 24 && steps.count >= Self.commitStep)
    }

    @Test func trainingGoesOnWithTheSameBits() throws {
        #expect(try GridVariant.plain.run(trainCommand("whole")).exitCode == 0)
        let whole = RunOutput(path: project.path("whole"))
        try kill(trainCommand("killed"), GridVariant(stages: 2, replicas: 2), "killed")
        for grid in [GridVariant(stages: 2, replicas: 2), GridVariant(stages: 1, replicas: 2), GridVariant(stages: 4, replicas: 1)] {
            let name = "resumed-\(grid.stages)x\(grid.replicas)"
            try FileManager.default.copyItem(atPath: project.path("killed"), toPath: project.path(name))
            let outcome = try grid.run(trainCommand(name) + ["--resume"])
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            #expect(outcome.standardError.contains("resuming after update "))
            let run = RunOutput(path: project.path(name))
            #expect(try run.curve() == whole.curve(), "\(name)")
            #expect(try run.bytes("adapter/adapter_model.safetensors") == whole.bytes("adapter/adapter_model.safetensors"), "\(name)")
        }
    }

    @Test func alignmentGoesOnWithTheSameBits() throws {
        #expect(try GridVariant.plain.run(alignCommand("whole")).exitCode == 0)
        let whole = RunOutput(path: project.path("whole"))
        try kill(alignCommand("killed"), GridVariant(stages: 2, replicas: 1), "killed")
        for grid in [GridVariant(stages: 2, replicas: 1), GridVariant(stages: 1, replicas: 2)] {
            let name = "resumed-\(grid.stages)x\(grid.replicas)"
            try FileManager.default.copyItem(atPath: project.path("killed"), toPath: project.path(name))
            let outcome = try grid.run(alignCommand(name) + ["--resume=auto"])
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            let run = RunOutput(path: project.path(name))
            #expect(try run.curve() == whole.curve(), "\(name)")
            #expect(try run.bytes("aligned/model.safetensors") == whole.bytes("aligned/model.safetensors"), "\(name)")
        }
    }

    @Test func whatCannotBeResumedIsSaidInOneLine() throws {
        let short = trainCommand("run") + settings([("schedule.steps", "4")])
        func expectRefusal(_ command: [String], status: Int32, _ words: [String]) throws {
            let outcome = try CommandRun.run(command)
            #expect(outcome.exitCode == status)
            #expect(outcome.ownErrorLines.count == 1 && words.allSatisfy { outcome.ownErrorLines[0].contains($0) }, "\(outcome.standardError)")
        }
        try expectRefusal(short + ["--resume"], status: 65, ["--resume", "found none"])
        #expect(!FileManager.default.fileExists(atPath: project.path("run")))

        #expect(try CommandRun.run(short + ["--resume=auto"]).exitCode == 0)
        let before = try RunOutput(path: project.path("run")).bytes("metrics.jsonl")
        try expectRefusal(short, status: 65, ["--resume", "found"])
        try expectRefusal(short + ["--resume", "--set", "optimizer.learning_rate=0.004"], status: 65, ["optimizer.learning_rate", "0.005", "0.004"])
        #expect(try RunOutput(path: project.path("run")).bytes("metrics.jsonl") == before)
    }

    @Test func aNumberOfRanksThatDoesNotFitNamesOneThatDoes() throws {
        let grids: [(settings: [(String, String)], ranks: Int, words: [String])] = [
            ([("parallel.stages", "2"), ("parallel.replicas", "2")], 3, ["found 3", "-np 4"]),
            ([("parallel.stages", "2")], 3, ["-np 2 or 4"]),
            ([("parallel.stages", "5")], 5, ["4 layers"]),
        ]
        for (values, ranks, words) in grids {
            let outcome = try CommandRun.run(trainCommand("run") + settings(values), ranks: ranks)
            #expect(outcome.exitCode == 64)
            #expect(outcome.ownErrorLines.count == 1 && words.allSatisfy { outcome.ownErrorLines[0].contains($0) }, "\(outcome.standardError)")
            #expect(!FileManager.default.fileExists(atPath: project.path("run")))
        }
    }
}

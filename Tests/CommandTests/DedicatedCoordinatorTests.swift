import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// A coordinator of its own keeps the same run as one that also computes, and recovers the adapter of every commit.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct DedicatedCoordinatorTests {
    static let adapter = "adapter/adapter_model.safetensors"

    let project: Project
    let base: String
    let pruned: String

    init() throws {
        project = try Project(hidden: 64, sampleCount: 96, sampleLength: 40...64)
        base = try project.writeCheckpoint("base", Project.config(hidden: 64))
        pruned = project.path("pruned")
        let outcome = try CommandRun.run(
            ["prune", "--model", base, "--output", pruned, "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"])
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
    }

    /// Twelve updates on the pruned model, a commit every other.
    func command(_ output: String, _ others: [(String, String)] = []) -> [String] {
        ["train"]
            + settings([
                ("model", base), ("trained_on", pruned), ("output", project.path(output)), ("lora.rank", "4"), ("data.train", "[{path: \(project.tokens)}]"),
                ("data.length", "64"), ("batch.global", "16"), ("batch.micro", "2"), ("optimizer.learning_rate", "0.005"),
                ("schedule.kind", "constant"), ("schedule.warmup_steps", "0"), ("schedule.steps", "12"), ("checkpoint.every", "2"),
                ("checkpoint.keep", "3"), ("recovery.merge", "false"), ("parallel.threads", "1"),
            ] + others)
    }

    static let dedicated = [("parallel.stages", "2"), ("parallel.replicas", "1"), ("parallel.coordinator", "dedicated")]

    @Test func commitsAreRecovered() throws {
        #expect(try CommandRun.run(command("shared")).exitCode == 0)
        let outcome = try CommandRun.run(command("dedicated", Self.dedicated), ranks: 3)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let shared = RunOutput(path: project.path("shared")), run = RunOutput(path: project.path("dedicated"))
        #expect(try run.curve() == shared.curve() && run.rows().count == 12)
        for name in [Self.adapter, "adapter-pruned/adapter_model.safetensors", "adapter-pruned/adapter_config.json"] {
            #expect(try run.bytes(name) == shared.bytes(name), "\(name)")
        }
        // Of the commits that are kept; the last is the result.
        #expect(try run.bytes("checkpoints/step-00000012/\(Self.adapter)") == run.bytes(Self.adapter))
        #expect(try run.bytes("checkpoints/step-00000008/\(Self.adapter)") != run.bytes(Self.adapter))
        // A run that ends where a commit was made.
        #expect(try CommandRun.run(command("short", [("schedule.steps", "10")])).exitCode == 0)
        #expect(try run.bytes("checkpoints/step-00000010/\(Self.adapter)") == RunOutput(path: project.path("short")).bytes(Self.adapter))
        #expect(!shared.names.contains("checkpoints/step-00000012/adapter"))
    }

    /// The perplexity that `evaluate` finds afterwards, at every commit.
    @Test func theFullModelIsScored() throws {
        let data = [("data.evaluation", "[{name: texts, path: \(project.texts)}]"), ("evaluation.full_model", "checkpoint")]
        let outcome = try CommandRun.run(command("run", Self.dedicated + data), ranks: 3)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let run = RunOutput(path: project.path("run"))
        var scores: [Int: Double] = [:]
        for row in try run.evaluations().map({ try JSONValue.parse($0) }) {
            if let value = row["eval/full/texts"]?.doubleValue { scores[row["step"]!.intValue!] = value }
        }
        // A commit that three others have followed before its turn came is not scored.
        #expect(Set(scores.keys).isSubset(of: [2, 4, 6, 8, 10, 12]) && Set(scores.keys).isSuperset(of: [8, 10, 12]), "\(scores)")
        let evaluated = try CommandRun.run(
            ["evaluate", "--model", base, "--adapter", "\(run.path)/adapter", "--perplexity", project.texts, "--length", "64", "--json", "--set", "batch.micro=2"])
        let expected = try #require(JSONValue.parse(evaluated.standardOutput)["perplexity"]?.doubleValue)
        #expect(scores[12] == expected)

        let refused = try CommandRun.run(command("other", data))
        #expect(refused.exitCode == 64 && refused.ownErrorLines.count == 1 && refused.standardError.contains("dedicated"), "\(refused.standardError)")
    }

    /// The coordinator is the last rank.
    @Test func aRunThatLostItsCoordinatorGoesOn() throws {
        #expect(try CommandRun.run(command("whole")).exitCode == 0)
        let commit = project.path("killed/checkpoints/step-00000004")
        let outcome = try CommandRun.run(command("killed", Self.dedicated), ranks: 3) { job in
            while job.isRunning, !FileManager.default.fileExists(atPath: commit) { usleep(500) }
            job.killLastRank()
        }
        #expect(outcome.exitCode != 0, "the run ended before it could be killed")
        let resumed = try CommandRun.run(command("killed", Self.dedicated) + ["--resume"], ranks: 3)
        #expect(resumed.exitCode == 0 && resumed.standardError.contains("resuming after update "), "\(resumed.standardError)")
        let run = RunOutput(path: project.path("killed")), whole = RunOutput(path: project.path("whole"))
        #expect(try run.curve() == whole.curve())
        #expect(try run.bytes(Self.adapter) == whole.bytes(Self.adapter))
    }

    @Test func itDrivesAllPhases() throws {
        func run(_ name: String, _ others: [(String, String)], ranks: Int) throws -> (output: RunOutput, lines: String) {
            let path = project.path("\(name).yaml")
            try """
            model: \(base)
            output: \(project.path(name))
            pruning: {method: rand, ratio: 0.5, keep_first: 1, keep_last: 1}
            alignment:
              data: {train: [{path: \(project.texts)}], length: 32}
              batch: {global: 8, micro: 2}
              schedule: {steps: 4, warmup_steps: 1}
            lora: {rank: 4}
            data: {train: [{path: \(project.tokens)}], evaluation: [{name: texts, path: \(project.texts)}], length: 64}
            batch: {global: 8, micro: 2}
            schedule: {steps: 4, warmup_steps: 1}
            evaluation: {every: 2}
            recovery: {merge: false}
            """.write(toFile: path, atomically: true, encoding: .utf8)
            let outcome = try CommandRun.run(["run", path] + settings(others), ranks: ranks)
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            return (RunOutput(path: project.path(name)), outcome.standardError)
        }
        let shared = try run("shared", [], ranks: 0).output, dedicated = try run("dedicated", Self.dedicated, ranks: 3).output
        for name in WorkflowTests.results { #expect(try dedicated.bytes(name) == shared.bytes(name), "\(name)") }
        #expect(try dedicated.curve() == shared.curve() && dedicated.evaluations() == shared.evaluations())
        let again = try run("dedicated", Self.dedicated, ranks: 3).lines
        #expect(again.contains("train: done already") && !again.contains("starts"), "\(again)")
    }

    /// What the coordinator finds wrong ends the job in its one line.
    @Test func itsErrorsAreTheJobs() throws {
        #expect(try CommandRun.run(command("run", Self.dedicated), ranks: 3).exitCode == 0)
        let outcome = try CommandRun.run(command("run", Self.dedicated), ranks: 3)
        #expect(outcome.exitCode == 65, "\(outcome.standardError)")
        #expect(outcome.ownErrorLines.count == 1 && outcome.ownErrorLines[0].contains("--resume"), "\(outcome.standardError)")
    }

    @Test func aNumberOfRanksThatDoesNotFitNamesOneThatDoes() throws {
        let dedicated = [("parallel.coordinator", "dedicated")]
        for (values, ranks, words) in [
            ([("parallel.stages", "2"), ("parallel.replicas", "2")], 4, ["found 4", "-np 5"]), ([("parallel.stages", "2")], 4, ["-np 3 or 5"]),
            ([], 1, ["-np 2"]),
        ] {
            let outcome = try CommandRun.run(command("run", values + dedicated), ranks: ranks)
            #expect(outcome.exitCode == 64)
            #expect(outcome.ownErrorLines.count == 1 && words.allSatisfy { outcome.ownErrorLines[0].contains($0) }, "\(outcome.standardError)")
            #expect(!FileManager.default.fileExists(atPath: project.path("run")))
        }
    }
}

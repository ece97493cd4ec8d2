import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// What happens when a rank dies or stands still, as a user of `cluster/supervise` sees it.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct FailureRunTests {
    static let stepCount = 24
    let project: Project

    init() throws {
        project = try Project(hidden: 64, sampleCount: 96, sampleLength: 40...64)
    }

    func trainCommand(_ output: String, _ others: [(String, String)] = []) -> [String] {
        ["train"]
            + settings(
                [
                    ("model", project.model), ("synthetic_seed", "5"), ("output", project.path(output)), ("lora.rank", "4"), ("lora.dropout", "0.1"),
                    ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "64"), ("batch.global", "32"), ("batch.micro", "2"),
                    ("optimizer.learning_rate", "0.005"), ("schedule.warmup_steps", "2"), ("schedule.steps", "\(Self.stepCount)"), ("checkpoint.every", "5"),
                    ("recovery.merge", "false"), ("parallel.stages", "2"), ("parallel.replicas", "2"), ("parallel.threads", "1"),
                ] + others)
    }

    static let supervisor = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("cluster/supervise").path

    /// Updates that log.txt, which keeps what was repeated, tells of.
    func loggedSteps(_ output: String) throws -> [Int] {
        try String(contentsOfFile: "\(project.path(output))/log.txt", encoding: .utf8).matches(of: /(?m)^train (\d+)\//).map { Int($0.output.1)! }
    }

    func waitForStep(_ step: Int, _ output: String, _ job: MPIRun.Job) {
        while job.isRunning, ((try? loggedSteps(output).max()) ?? 0) < step { usleep(500) }
    }

    @Test func aKilledRankEndsTheJobAndSuperviseBringsItBack() throws {
        #expect(try CommandRun.run(trainCommand("whole"), ranks: 4).exitCode == 0)
        let clock = ContinuousClock()
        var ending: Duration?
        let job = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "4", try MPIRun.executable("loram-mpi")] + trainCommand("killed")
        let outcome = try MPIRun.run(Self.supervisor, ["--pause", "1", "--"] + job + ["--resume=auto"], ranks: 0) { job in
            waitForStep(12, "killed", job)
            guard let first = job.process(ofRank: 0), let victim = job.process(ofRank: 1) else { return }
            let start = clock.now
            kill(victim, SIGKILL)
            while kill(first, 0) == 0 { usleep(1000) }
            ending = clock.now - start
        }
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let seconds = try #require(ending, "the run ended before a rank could be killed") / .seconds(1)
        print("a rank killed: the job ended after \(seconds) s")
        // Ten is what it should be on a machine that has nothing else to do.
        #expect(seconds < 60)
        // mpirun's own words, wrapped as it likes.
        let words = outcome.standardError.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(words.contains("process rank 1 with PID") && words.contains("on node \(ProcessInfo.processInfo.hostName)"), "\(outcome.standardError)")
        #expect(outcome.standardError.contains("supervise: exit code"), "\(outcome.standardError)")

        let resumed = try #require(outcome.standardError.firstMatch(of: /resuming after update (\d+)/)).output.1
        let commit = try #require(Int(resumed)), steps = try loggedSteps("killed")
        #expect(commit >= 10 && commit % 5 == 0)
        let repeated = Dictionary(grouping: steps) { $0 }.filter { $0.value.count > 1 }.keys
        #expect(Set(steps) == Set(1...Self.stepCount) && repeated.allSatisfy { $0 > commit }, "\(steps)")
        let killed = RunOutput(path: project.path("killed")), whole = RunOutput(path: project.path("whole"))
        #expect(try killed.curve() == whole.curve())
        #expect(try killed.bytes("adapter/adapter_model.safetensors") == whole.bytes("adapter/adapter_model.safetensors"))
    }

    @Test func aLossThatIsNotFiniteIsSaidOnceOrLeftOut() throws {
        let others = [("optimizer.learning_rate", "1000"), ("lora.alpha", "1e30"), ("schedule.warmup_steps", "0"), ("schedule.steps", "6")]
        let stopped = try CommandRun.run(trainCommand("nonfinite", others), ranks: 4)
        #expect(stopped.exitCode == 1, "\(stopped.standardError)")
        #expect(stopped.errorLines(containing: "expected a finite number").count == 1, "\(stopped.standardError)")
        #expect(stopped.errorLines(containing: "its own line names the cause").isEmpty, "\(stopped.standardError)")
        // What the first update has made of the weights stays, and so do the others' losses.
        let skipped = try CommandRun.run(trainCommand("skipped", others + [("on_nonfinite", "skip")]), ranks: 4)
        #expect(skipped.exitCode == 0, "\(skipped.standardError)")
        #expect(skipped.errorLines(containing: "is not finite").count == 5, "\(skipped.standardError)")
    }

    @Test func aStoppedRankIsNamedByTheWatchdog() throws {
        let clock = ContinuousClock()
        var start: ContinuousClock.Instant?
        let outcome = try CommandRun.run(trainCommand("stopped", [("watchdog_seconds", "3"), ("schedule.steps", "4000")]), ranks: 4) { job in
            waitForStep(3, "stopped", job)
            guard let victim = job.process(ofRank: 1) else { return }
            start = clock.now
            kill(victim, SIGSTOP)
        }
        let began = try #require(start, "the run ended before a rank could be stopped")
        print("a rank stopped, watchdog_seconds 3: the job ended after \((clock.now - began) / .seconds(1)) s")
        #expect(outcome.exitCode == 75, "\(outcome.standardError)")
        let lines = outcome.errorLines(containing: "has not run for")
        let host = ProcessInfo.processInfo.hostName
        #expect(!lines.isEmpty && lines.allSatisfy { $0.hasPrefix("rank 1 on \(host) has not run") && $0.contains("its last action: ") }, "\(outcome.standardError)")
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// A job over two hosts: the same bits as on one, with and without common files; a host that is cut off.
@Suite(.enabled(if: TwoHosts.areAvailable, "needs root, network namespaces, iproute2 and openssh-server"))
struct TwoHostTests {
    let project: Project
    let model: String

    init() throws {
        project = try Project(hidden: 64, sampleCount: 96, sampleLength: 40...64)
        model = try project.writeCheckpoint("base", Project.config(hidden: 64))
    }

    /// A recipe of every phase, with a calibration that all ranks share.
    func recipe(_ output: String) throws -> String {
        let path = project.path("\(output).yaml")
        try """
        model: \(model)
        output: \(project.path(output))
        pruning: {method: stru, ratio: 0.5, keep_first: 1, keep_last: 1, calibration: {path: \(project.texts), samples: 6, length: 16}}
        alignment:
          data: {train: [{path: \(project.texts)}], length: 32}
          batch: {global: 8, micro: 2}
          schedule: {steps: 6, warmup_steps: 1}
          checkpoint: {every: 3}
        lora: {rank: 4, dropout: 0.1}
        data: {train: [{path: \(project.tokens)}], evaluation: [{name: texts, path: \(project.texts)}], length: 64}
        batch: {global: 32, micro: 2}
        schedule: {steps: 24, warmup_steps: 1}
        checkpoint: {every: 5}
        evaluation: {every: 12}
        recovery: {compress: planes}
        """.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    static let grid = settings([("parallel.stages", "2"), ("parallel.replicas", "2"), ("parallel.threads", "1")])
    static let results = [
        "pruned/model.safetensors", "aligned/model.safetensors", "quantized/model.safetensors", "adapter-pruned/adapter_model.safetensors",
        "adapter/adapter_model.safetensors", "model/model.safetensors.planes", "evaluation.json",
    ]

    func expectSame(_ output: String, _ whole: RunOutput) throws {
        let run = RunOutput(path: project.path(output))
        for name in Self.results { #expect(try run.bytes(name) == whole.bytes(name), "\(output)/\(name)") }
        #expect(try run.curve() == whole.curve())
    }

    @Test func withAndWithoutCommonFilesTheBitsAreThoseOfOneHost() throws {
        #expect(try CommandRun.run(["run", recipe("whole")]).exitCode == 0)
        let whole = RunOutput(path: project.path("whole"))

        let common = try TwoHosts().runProgram(["run", recipe("common")] + Self.grid)
        #expect(common.exitCode == 0, "\(common.standardError)")
        try expectSame("common", whole)

        // The second host sees nothing of the project: files go there and come back. Cut off once, it goes on from a commit.
        let hosts = try TwoHosts(hidden: project.directory.path), command = try ["run", recipe("apart")] + Self.grid
        let commit = project.path("apart/checkpoints/step-00000010")
        var shares: [Double] = []
        let cut = try hosts.runProgram(command) { job in
            while job.isRunning, !FileManager.default.fileExists(atPath: commit) {
                if let share = storedShare(of: project.path("apart/quantized/model.safetensors")) { shares.append(share) }
                usleep(2000)
            }
            if let first = job.process(ofRank: 0) { kill(first, SIGKILL) }
        }
        #expect(cut.exitCode != 0 && FileManager.default.fileExists(atPath: commit), "\(cut.standardError)")
        // What the second host had of the model it trained: its own stage's weights.
        #expect(shares.max().map { $0 > 0.2 && $0 < 0.8 } == true, "\(shares.max() ?? 0)")
        let resumed = try hosts.runProgram(command)
        #expect(resumed.exitCode == 0 && resumed.standardError.contains("train: goes on where it was cut off"), "\(resumed.standardError)")
        try expectSame("apart", whole)
        // A killed process may still have been ending when the resumed run looked for what it left; then the next run removes that.
        if !stagingDirectories.isEmpty { #expect(try hosts.runProgram(command).exitCode == 0) }
        #expect(stagingDirectories.isEmpty, "\(stagingDirectories)")
    }

    /// What hosts keep of the project.
    var stagingDirectories: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []).filter { $0.hasPrefix("loram-mpi-\(getuid())-") }
            .map { "/tmp/\($0)\(project.directory.path)" }.filter { FileManager.default.fileExists(atPath: $0) }
    }

    /// Allocated blocks of a file that a host was given, relative to the file's size.
    func storedShare(of path: String) -> Double? {
        for directory in stagingDirectories {
            var info = stat()
            if stat("\(directory)/\(path.dropFirst(project.directory.path.count + 1))", &info) == 0, info.st_size > 0 { return Double(info.st_blocks) * 512 / Double(info.st_size) }
        }
        return nil
    }

    @Test func aHostThatIsCutOffEndsTheJobAndSuperviseGoesOnWithTheRest() throws {
        func command(_ output: String) -> [String] {
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", project.path(output)), ("lora.rank", "4"), ("data.train", "[{path: \(project.tokens)}]"),
                    ("data.length", "64"), ("batch.global", "32"), ("batch.micro", "2"), ("schedule.warmup_steps", "2"), ("schedule.steps", "40"),
                    ("checkpoint.every", "5"), ("recovery.merge", "false"), ("parallel.stages", "2"), ("parallel.threads", "1"),
                ])
        }
        #expect(try CommandRun.run(command("whole"), ranks: 2).exitCode == 0)
        let hosts = try TwoHosts(), clock = ContinuousClock(), commit = project.path("cut/checkpoints/step-00000010")
        var ending: Duration?
        let job = ["mpirun", "--hostfile", "{hostfile}", "-np", "{np}", "--bind-to", "none", try MPIRun.executable("loram-mpi")] + command("cut") + ["--resume=auto"]
        let supervise = ["bash", "-c", "exec \"$0\" --check \"$SSH_TO_HOST\" \"$@\"", FailureRunTests.supervisor, "--hostfile", hosts.hostfile, "--np", "4,2", "--pause", "1", "--"]
        let outcome = try hosts.run(supervise + job) { job in
            while job.isRunning, !FileManager.default.fileExists(atPath: commit) { usleep(500) }
            guard let first = job.process(ofRank: 0) else { return }
            let start = clock.now
            try hosts.cutCable()
            while kill(first, 0) == 0 { usleep(1000) }
            ending = clock.now - start
        }
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let seconds = try #require(ending, "the run ended before the host could be cut off") / .seconds(1)
        print("a host cut off: the job ended after \(seconds) s")
        // Thirty is what it should be on a machine that has nothing else to do.
        #expect(seconds < 90)
        #expect(outcome.standardError.contains("does not answer and is left out") && outcome.standardError.contains("resuming after update"), "\(outcome.standardError)")
        let cut = RunOutput(path: project.path("cut")), whole = RunOutput(path: project.path("whole"))
        #expect(try cut.curve() == whole.curve())
        #expect(try cut.bytes("adapter/adapter_model.safetensors") == whole.bytes("adapter/adapter_model.safetensors"))
    }
}

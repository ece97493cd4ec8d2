import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// How much memory weights take, measured on a model far larger than a process without weights.
@Suite(.serialized) struct WeightMemoryTests {
    /// A checkpoint of 160 MiB, half a MiB to 4.5 MiB a tensor.
    struct Large: Sendable {
        let project: Project
        let path: String
        let byteCount: Int

        init() throws {
            let config = Project.config(layers: 8, hidden: 768)
            project = try Project(layers: 8, hidden: 768)
            path = try project.writeCheckpoint("large", config)
            byteCount = 4 * config.parameterCount
        }
    }

    static let large = Result { try Large() }

    /// Tensor by tensor: half of the model's size is enough for all private memory, code and threads included.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit"), "prlimit is not installed"))
    func quantizeHoldsFewTensors() throws {
        let large = try Self.large.get(), output = large.project.path("quantized")
        let outcome = try MPIRun.run(
            "prlimit", ["--data=\(large.byteCount / 2)", try MPIRun.executable("loram-mpi"), "quantize", "--model", large.path, "--output", output], ranks: 0)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        #expect(FileManager.default.fileExists(atPath: "\(output)/config.json"))
    }

    /// Pages that two ranks share count half for each.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aNodeHoldsSharedWeightsOnce() throws {
        let large = try Self.large.get()
        func measure(_ weights: String) throws -> Int {
            let output = RunOutput(path: large.project.path("run-\(weights)"))
            var samples: [Int] = []
            let outcome = try CommandRun.run(
                ["train"]
                    + settings([
                        ("model", large.path), ("output", output.path), ("data.train", "[{path: \(large.project.tokens)}]"), ("data.length", "24"),
                        ("batch.global", "2"), ("batch.micro", "1"), ("schedule.steps", "16"), ("parallel.replicas", "2"), ("parallel.threads", "1"),
                        ("compute.weights", weights),
                    ] + plainNumbers), ranks: 2,
                meanwhile: { job in
                    while job.isRunning {
                        // Once training, loading is over.
                        if let rows = try? output.rows(), !rows.isEmpty {
                            let ranks = job.ranks.map { Self.proportionalBytes($0) }
                            if ranks.count == 2, !ranks.contains(0) { samples.append(ranks.reduce(0, +)) }
                        }
                        usleep(10_000)
                    }
                })
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            #expect(!samples.isEmpty, "no sample while it trained")
            // What comes and goes, as at an update's end, is in few samples.
            return samples.isEmpty ? 0 : samples.sorted()[samples.count / 2]
        }
        let shared = try measure("shared"), resident = try measure("resident")
        #expect(resident - shared > large.byteCount * 3 / 4, "\(shared >> 20) MiB shared, \(resident >> 20) MiB resident")
    }

    /// Layer by layer, and each gives its mapped pages back: less than the model's size beside what a process takes anyway.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func pruningHoldsFewLayers() throws {
        let large = try Self.large.get(), calibration = try large.project.write("short.jsonl", ["{\"input_ids\": [5, 6, 7, 8, 9, 10, 11, 12]}"])
        var largest = 0
        let outcome = try CommandRun.run(
            ["prune", "--model", large.path, "--output", large.project.path("stru"), "--method", "stru", "--ratio", "0.5", "--keep-first", "1", "--keep-last",
                "1", "--calibration", calibration, "--samples", "1", "--length", "8"], ranks: 1,
            meanwhile: { job in
                while job.isRunning {
                    for rank in job.ranks { largest = max(largest, Self.peakBytes(rank)) }
                    usleep(2_000)
                }
            })
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        #expect(largest > 0 && largest < large.byteCount * 7 / 8 + (48 << 20), "\(largest >> 20) MiB of a model of \(large.byteCount >> 20) MiB")
    }

    /// Largest resident set of a process so far; 0 when it is gone.
    private static func peakBytes(_ process: pid_t) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
        return (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }

    /// Pss of a process; 0 when it is gone.
    private static func proportionalBytes(_ process: pid_t) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(process)/smaps_rollup", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("Pss:") } ?? ""
        return (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
}

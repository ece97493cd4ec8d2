import LoRAMEngine
import TestSupport
import Testing

/// One way to lay a training over processes.
struct GridVariant: Sendable, CustomTestStringConvertible {
    var stages: Int
    var replicas: Int
    var threads = 1
    var others: [(String, String)] = []
    /// Under mpirun also where one process is enough.
    var usesLauncher = true

    /// Settings of a coordinator of its own.
    static let dedicated = [("parallel.coordinator", "dedicated")]

    var rankCount: Int { stages * replicas + (others.contains { $0 == ("parallel.coordinator", "dedicated") } ? 1 : 0) }

    var testDescription: String {
        (["\(stages)x\(replicas) threads \(threads)"] + others.map { "\($0) \($1)" } + (usesLauncher ? [] : ["without mpirun"])).joined(separator: ", ")
    }

    /// One process, one thread.
    static let plain = GridVariant(stages: 1, replicas: 1, usesLauncher: false)

    func run(_ command: [String]) throws -> MPIRun.Outcome {
        let grid = [("parallel.stages", "\(stages)"), ("parallel.replicas", "\(replicas)"), ("parallel.threads", "\(threads)")]
        return try CommandRun.run(command + settings(grid + others), ranks: usesLauncher ? rankCount : 0)
    }
}

/// f32 throughout, for what is compared with a reference in higher precision.
let plainNumbers = [("compute.type", "f32"), ("quantization.type", "none")]

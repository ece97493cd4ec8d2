import Foundation
import TestSupport

/// Two hosts in network namespaces (cluster/tests/two-hosts.sh), which go with the last reference.
final class TwoHosts {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("cluster/tests/two-hosts.sh").path

    /// Root, namespaces, ssh and sshd.
    static let areAvailable: Bool = MPIRun.isAvailable && (try? call(["check"])) == 0

    private let folder: TemporaryDirectory
    var hostfile: String { folder.path("hostfile") }

    /// - Parameter hidden: a directory that the second host does not see.
    init(hidden: String = "") throws {
        folder = try TemporaryDirectory()
        guard try Self.call(["up", folder.path, hidden]) == 0 else { throw CocoaError(.executableLoad) }
    }

    deinit { _ = try? Self.call(["down", folder.path]) }

    func cutCable() throws { _ = try Self.call(["cut", folder.path]) }

    /// A command on the first host. `$SSH_TO_HOST` is how it reaches the other.
    func run(_ command: [String], meanwhile: (MPIRun.Job) throws -> Void = { _ in }) throws -> MPIRun.Outcome {
        try MPIRun.run(Self.script, ["run", folder.path] + command, ranks: 0, meanwhile: meanwhile)
    }

    /// loram-mpi on four ranks, two a host.
    func runProgram(_ arguments: [String], meanwhile: (MPIRun.Job) throws -> Void = { _ in }) throws -> MPIRun.Outcome {
        try run(["mpirun", "--hostfile", hostfile, "-np", "4", "--bind-to", "none", try MPIRun.executable("loram-mpi")] + arguments, meanwhile: meanwhile)
    }

    private static func call(_ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: script)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }
}

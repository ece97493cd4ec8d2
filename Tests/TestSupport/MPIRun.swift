import Foundation

/// Runs a built executable under mpirun and hands back what it printed and how it ended. One job at a time: ranks of several at
/// once would only take the cores from each other.
public enum MPIRun {
    public struct Outcome: Sendable {
        public let exitCode: Int32
        public let standardOutput: String
        public let standardError: String

        public var outputLines: [String] { standardOutput.split(separator: "\n").map(String.init) }
        /// Lines on standard error that are the program's own; mpirun adds banners.
        public func errorLines(containing text: String) -> [String] {
            standardError.split(separator: "\n").map(String.init).filter { $0.contains(text) }
        }
        /// Lines on standard error without mpirun's: its banners stand between rows of dashes, its notices begin with [host:process].
        public var ownErrorLines: [String] {
            var own: [String] = [], isBanner = false
            for line in standardError.split(separator: "\n") {
                if line.count > 20, line.allSatisfy({ $0 == "-" }) {
                    isBanner.toggle()
                } else if !isBanner, line.firstMatch(of: /^\[[^\]]*:\d+\]/) == nil {
                    own.append(String(line))
                }
            }
            return own
        }
    }

    /// A job that goes on.
    public struct Job {
        fileprivate let process: Process

        public var isRunning: Bool { process.isRunning }

        /// Ends the last rank as a crash would, without a chance to clean up.
        public func killLastRank() {
            if let rank = ranks.last { kill(rank, SIGKILL) }
        }

        /// Sends a signal to every rank, as mpirun does with those that it gets. (mpirun itself inherits this process's signal mask, which
        /// blocks them on all threads but the first.)
        public func signalRanks(_ number: Int32) { for rank in ranks { kill(rank, number) } }

        /// Process ids of the ranks: mpirun's children.
        public var ranks: [pid_t] { Self.children(of: process.processIdentifier) }

        /// Process id of a rank of the program, wherever below the launcher it is; nil while it is not there.
        public func process(ofRank rank: Int, program: String = "loram-mpi") -> pid_t? {
            var generation = [process.processIdentifier]
            while !generation.isEmpty {
                let next = generation.flatMap(Self.children)
                if let found = next.first(where: { Self.isRank(rank, of: program, $0) }) { return found }
                generation = next
            }
            return nil
        }

        private static func isRank(_ rank: Int, of program: String, _ pid: pid_t) -> Bool {
            let file = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")) ?? ""
            guard file.hasSuffix("/\(program)") else { return false }
            let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
            return environment.split(separator: 0).contains { $0.elementsEqual("OMPI_COMM_WORLD_RANK=\(rank)".utf8) }
        }

        private static func children(of pid: pid_t) -> [pid_t] {
            let tasks = "/proc/\(pid)/task"
            return ((try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []).flatMap { task in
                let children = (try? String(contentsOfFile: "\(tasks)/\(task)/children", encoding: .utf8)) ?? ""
                return children.split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
            }.sorted()
        }
    }

    public enum Failure: Error { case executableNotFound(String) }

    private static let oneAtATime = NSLock()

    /// mpirun is installed.
    public static let isAvailable: Bool = {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: "\($0)/mpirun") }
    }()

    /// What a test machine needs: it may run as root, with more ranks than cores, in a container without cross-memory attach.
    public static let environment = [
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    ]

    /// Path of an executable of this package: it lies beside the test bundle.
    public static func executable(_ name: String) throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let arguments = CommandLine.arguments.first.map { [$0] } ?? []
        for start in [own] + arguments + [Bundle.main.bundlePath] {
            var folder = URL(fileURLWithPath: start).deletingLastPathComponent()
            for _ in 0..<3 {
                let candidate = folder.appendingPathComponent(name).path
                if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
                folder.deleteLastPathComponent()
            }
        }
        throw Failure.executableNotFound(name)
    }

    /// Runs `executable arguments` on `ranks` ranks; 0 runs it without mpirun. `options` go to mpirun. `meanwhile` is called while it runs.
    public static func run(
        _ executable: String, _ arguments: [String], ranks: Int, options: [String] = [], environment extra: [String: String] = [:],
        workingDirectory: String? = nil, meanwhile: (Job) throws -> Void = { _ in }
    ) throws -> Outcome {
        oneAtATime.lock()
        defer { oneAtATime.unlock() }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mpirun-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files, not pipes: whatever a job prints, nobody has to read it while it runs.
        let outputs = try ["out", "err"].map { name in
            let path = folder.appendingPathComponent(name).path
            try Data().write(to: URL(fileURLWithPath: path))
            return (path: path, handle: FileHandle(forWritingAtPath: path))
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "\(ranks)"] + options
        process.arguments = (ranks > 0 ? launcher : []) + [executable] + arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(environment) { $1 }.merging(extra) { $1 }
        if let workingDirectory { process.currentDirectoryURL = URL(fileURLWithPath: workingDirectory) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = outputs[0].handle
        process.standardError = outputs[1].handle
        try process.run()
        defer { process.waitUntilExit() }
        try meanwhile(Job(process: process))
        process.waitUntilExit()
        func text(_ path: String) throws -> String {
            String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
        }
        return Outcome(
            exitCode: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
            standardOutput: try text(outputs[0].path), standardError: try text(outputs[1].path))
    }
}

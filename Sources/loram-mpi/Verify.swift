import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read a packed checkpoint and compare every byte with its checksums.",
        discussion: """
              loram-mpi verify runs/x/model

            Checks every frame, the SHA-256 of every file where they were kept, and of a model that config.json, index and tensors agree; \
            for codec base the original too. The first thing that is wrong is named, with exit code 65. A plain checkpoint has no checksums: \
            its headers are checked.
            """)

    @Argument(help: "Checkpoint, packed or plain.") var path: String
    @Option(help: "Threads; default: the processors this process may use.") var threads: Int?
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws { try Threads.check(threads) }

    func run() throws {
        try Job.runOnOneProcess {
            let report = try StorageRun.verify(path, threads: threads)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Unpack: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plain safetensors files from a packed checkpoint, byte for byte.",
        discussion: """
              loram-mpi unpack runs/x/model model
              loram-mpi unpack packed norm.safetensors --tensor model.norm.weight

            With --tensor nothing else is read, and the output is one safetensors file.
            """)

    @Argument(help: "Packed checkpoint.") var input: String
    @Argument(help: "Directory to make; with --tensor a file.") var output: String
    @Option(help: ArgumentHelp("Only this tensor; may be given many times.", valueName: "name")) var tensor: [String] = []
    @Option(help: "Threads; default: the processors this process may use.") var threads: Int?
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        try Threads.check(threads)
        for (flag, isGiven) in [("json", json), ("threads", threads != nil)] where isGiven && !tensor.isEmpty {
            throw ValidationError("--tensor and --\(flag): expected one of them, found both; leave out --\(flag)")
        }
    }

    func run() throws {
        try Job.runOnOneProcess {
            guard tensor.isEmpty else { return try StorageRun.extract(tensor, from: input, to: output) }
            let report = try StorageRun.unpack(input, to: output, threads: threads)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

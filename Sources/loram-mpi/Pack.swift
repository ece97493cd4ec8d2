import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Pack: ParsableCommand {
    enum Compression: String, ExpressibleByArgument, CaseIterable { case planes, zstd }

    static let configuration = CommandConfiguration(
        abstract: "Compress a safetensors checkpoint without loss.",
        discussion: """
              loram-mpi pack llama-2-13b-hf packed
              loram-mpi pack llama-2-13b-hf packed --compress zstd     # files that zstd -d opens

            Every command that takes a model's directory takes the packed one as well. Other files of the directory go along as they \
            are, directories in it do not. A pack that was cut off goes on where it stopped when it is started again.
            """)

    @Argument(help: "Directory with safetensors files, plain or packed.") var input: String
    @Argument(help: "Directory to make.") var output: String
    @Option(help: "planes: bf16 to two thirds, the fastest; zstd: one standard stream a file.") var compress = Compression.planes
    @Flag(name: .customLong("no-sha256"), help: "Keep no SHA-256 of the files.") var noSHA256 = false
    @Option(help: "Threads; default: the processors this process may use.") var threads: Int?
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws { try Threads.check(threads) }

    func run() throws {
        try Job.runOnOneProcess {
            let report = try StorageRun.pack(input, to: output, codec: Codec(rawValue: compress.rawValue)!, hashes: !noSHA256, threads: threads)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

enum Threads {
    static func check(_ count: Int?) throws {
        if let count, !(1...4096).contains(count) { throw ValidationError("--threads: expected 1 to 4096, found \(count)") }
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a file or checkpoint is: names, types, shapes, sizes, plan, metadata.",
        discussion: """
              loram-mpi inspect pruned
              loram-mpi inspect runs/x/adapter --json
            """)

    @Argument(help: "Safetensors file, checkpoint, config.json, adapter or tokenizer file.") var path: String
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            let report = try Inspection(path: path)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

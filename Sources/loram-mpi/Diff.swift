import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Which tensors differ between two checkpoints, adapters or safetensors files, and by how much.",
        discussion: """
              loram-mpi diff llama-2-13b-hf runs/x/model
              loram-mpi diff runs/x/adapter runs/y/adapter --json

            Either may be packed. Relative is the norm of the difference over the norm of the first tensor.
            """)

    @Argument(help: "Directory or safetensors file.") var first: String
    @Argument(help: "Directory or safetensors file.") var second: String
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            let report = try TensorDiff.compare(first, second)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

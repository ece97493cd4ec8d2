import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring a checkpoint's linear layers to 4 bit (NF4), in the layout of bitsandbytes.",
        discussion: """
              loram-mpi quantize --model pruned --output quantized
              loram-mpi quantize --model llama-2-13b-hf --output quantized --set quantization.double=false --json

            Whole and structurally pruned models alike; transformers opens the output as it is. Embedding, head and norms become bf16. \
            quantization.absmax_rounding=bitsandbytes_cpu gives the very bytes of bitsandbytes on a CPU.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Checkpoint directory or preset (recipe: model).") var model: String?
    @Option(help: "Directory to make.") var output: String
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            let report = try QuantizationRun.run(Recipe.load(file: recipe.recipe, overrides: recipe.overrides(texts: [("model", model)])), output: output)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

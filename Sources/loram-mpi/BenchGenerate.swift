import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct BenchGenerate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Generation, token by token, with random weights.",
        discussion: """
              loram-mpi bench generate --json
              loram-mpi bench generate --batch 16
              loram-mpi bench generate --model llama-3.2-1b --dtype f32 --quant none

            Every step reads all weights but the embedding once. The limit, in bytes of weights a second, is the least of memcpy's bandwidth, the \
            decoding rate (NF4 has two elements a byte) and the multiply-adds', measured between the repeats on the same threads.
            """)

    @Option(help: "Preset, checkpoint directory or config.json; else the shape below.") var model: String?
    @Option(help: "Hidden size.") var hidden = 2048
    @Option(help: "MLP width.") var inter = 5632
    @Option(help: "Layers.") var layers = 8
    @Option(help: "Attention heads.") var heads = 16
    @Option(help: "Key-value heads.") var kv = 16
    @Option(help: "Vocabulary.") var vocab = 32000
    @Option(help: "Sequences, 1 to \(GenerationStage.rowsTogether).") var batch = 1
    @Option(help: "Tokens of each prompt.") var prompt = 64
    @Option(help: "Steps of each repeat.") var steps = 8
    @Option(help: "Repeats, each after a measurement of the limits.") var repeats = 5
    @Option(help: "Compute threads; default: the processors this process may use.") var threads: Int?
    @Option(help: "Compute type: f32 or bf16.") var dtype = "bf16"
    @Option(help: "Weights: nf4 or none, which leaves them in the compute type.") var quant = "nf4"
    @Option(help: "Kernel set; default: the best.") var kernels: String?
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            let compute = try StepBenchmark.compute(dtype)
            let config = try model.map { try ModelReference.config($0) }
                ?? StepBenchmark.config(
                    hidden: hidden, inter: inter, layers: layers, heads: heads, keyValueHeads: kv, vocabulary: vocab, positions: prompt,
                    dtype: compute == .bf16 ? .bf16 : .f32)
            var settings = GenerateBenchmark.Settings(config: config)
            (settings.batch, settings.prompt, settings.steps, settings.repeats) = (batch, prompt, steps, repeats)
            settings.threads = threads ?? Machine.availableProcessorCount
            settings.compute = compute
            settings.quantizes = try StepBenchmark.quantizes(quant)
            settings.kernels = kernels
            let report = try GenerateBenchmark.run(settings)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

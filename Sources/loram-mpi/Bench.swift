import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure this machine: each figure beside its physical limit.", subcommands: [BenchStep.self], defaultSubcommand: BenchStep.self)
}

struct BenchStep: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "One training step on random weights and tokens.",
        discussion: """
              loram-mpi bench step --json
              loram-mpi bench step --dtype f32 --quant none
              loram-mpi bench step --model llama-3.2-1b --batch 1 --seq 512 --recompute full
              loram-mpi bench step --hidden 2048 --inter 5632 --layers 4 --heads 32 --kv 8 --vocab 128256

            The limit is the step's floating-point operations at the speed of a register loop of fused multiply-adds, measured between the \
            steps on the same threads.
            """)

    @Option(help: "Preset, checkpoint directory or config.json; else the shape below.") var model: String?
    @Option(help: "Hidden size.") var hidden = 1024
    @Option(help: "MLP width.") var inter = 2816
    @Option(help: "Layers.") var layers = 8
    @Option(help: "Attention heads.") var heads = 16
    @Option(help: "Key-value heads.") var kv = 16
    @Option(help: "Vocabulary.") var vocab = 32000
    @Option(help: "Samples of the step.") var batch = 4
    @Option(help: "Tokens of a sample.") var seq = 512
    @Option(help: "Counted steps.") var steps = 5
    @Option(help: "Compute threads; default: the processors this process may use.") var threads: Int?
    @Option(help: "LoRA rank.") var rank = 8
    @Option(help: "LoRA targets, comma-separated.") var targets = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
    @Flag(help: "Train all weights instead of LoRA.") var full = false
    @Option(help: "none, selective or full.") var recompute = "none"
    @Option(help: "Compute type: f32 or bf16.") var dtype = "bf16"
    @Option(help: "Frozen weights: nf4 or none, which leaves them in the compute type.") var quant = "nf4"
    @Option(help: "Kernel set; default: the best.") var kernels: String?
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            let config = try model.map { try ModelReference.config($0) }
                ?? StepBenchmark.config(hidden: hidden, inter: inter, layers: layers, heads: heads, keyValueHeads: kv, vocabulary: vocab, positions: seq,
                    dtype: try StepBenchmark.compute(dtype) == .bf16 ? .bf16 : .f32)
            var settings = StepBenchmark.Settings(
                config: config, training: full ? .dense(frozen: []) : .lora(try StepBenchmark.lora(rank: rank, targets: targets)))
            (settings.batch, settings.length, settings.steps) = (batch, seq, steps)
            settings.threads = threads ?? Machine.availableProcessorCount
            settings.recomputation = try StepBenchmark.recomputation(recompute)
            settings.compute = try StepBenchmark.compute(dtype)
            settings.quantizes = try StepBenchmark.quantizes(quant)
            settings.kernels = kernels
            let report = try StepBenchmark.run(settings)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

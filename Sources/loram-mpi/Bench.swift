import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure this machine: each figure beside its physical limit.",
        subcommands: [BenchStep.self, BenchGenerate.self, BenchGemm.self, BenchQuantize.self, BenchPack.self], defaultSubcommand: BenchStep.self)
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

struct BenchPack: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pack", abstract: "Packing and unpacking in memory, beside memcpy.",
        discussion: """
              loram-mpi bench pack
              loram-mpi bench pack --file weights.bf16 --threads 1 --json

            Bytes are bf16: a file of nothing else, or normally distributed weights. Checksums of zstd are on, SHA-256 is off.
            """)

    @Option(help: "Raw little-endian bf16 values; default: random weights.") var file: String?
    @Option(help: "MiB of random weights.") var mebibytes = 256
    @Option(help: "planes or zstd.") var compress = Pack.Compression.planes
    @Option(help: "Threads; default: once with one, once with all processors.") var threads: Int?
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        try Threads.check(threads)
        if !(1...65536).contains(mebibytes) { throw ValidationError("--mebibytes: expected 1 to 65536, found \(mebibytes)") }
    }

    func run() throws {
        try Job.runOnOneProcess {
            let bytes = try file.map { path in try MappedFile(path: path).withBytes { Array($0[..<($0.count / 2 * 2)]) } }
                ?? PackBenchmark.syntheticWeights(byteCount: mebibytes << 20)
            let all = Machine.availableProcessorCount
            let reports = try (threads.map { [$0] } ?? (all > 1 ? [1, all] : [1])).map {
                try PackBenchmark.run(bytes, dtype: .bf16, codec: Codec(rawValue: compress.rawValue)!, threads: $0)
            }
            if json { JSONValue.array(reports.map(\.json)).printLine() } else { for report in reports { print(report) } }
        }
    }
}

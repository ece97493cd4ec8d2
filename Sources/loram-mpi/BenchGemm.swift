import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct BenchGemm: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gemm", abstract: "Products of a linear layer, forward and backward.",
        discussion: """
              loram-mpi bench gemm
              loram-mpi bench gemm --dtype bf16 --threads 2 --product forward
              loram-mpi bench gemm --tokens 512 --outputs 1433 --inputs 4096 --json

            Without a shape: 2048 tokens with the layers of Llama 2 7B and with widths that pruning leaves, and few tokens, as in generation, \
            with 11008 x 4096.
            With many tokens the limit is a register loop of multiply-adds. With up to \(GemmBenchmark.fewTokens) it is, in bytes of weights a second, the \
            least of memcpy's bandwidth, the decoding rate and the multiply-adds'. Limits are measured between the repeats on the same threads.
            """)

    @Option(help: "Tokens; with --outputs and --inputs (default: 2048).") var tokens: Int?
    @Option(help: "Outputs of the layer; with --inputs.") var outputs: Int?
    @Option(help: "Inputs of the layer; with --outputs.") var inputs: Int?
    @Option(help: "forward or backward (the input gradient); default: both.") var product: String?
    @Option(help: "Compute type: f32 or bf16; default: both.") var dtype: String?
    @Option(help: "Compute threads; default: 1 and the processors this process may use.") var threads: Int?
    @Option(help: "Repeats of each row.") var repeats = 5
    @Option(help: "Weights: nf4 or none, which leaves them in the compute type.") var quant = "nf4"
    @Option(help: "Kernel set; default: the best.") var kernels: String?
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            var settings = GemmBenchmark.Settings()
            if let shape = try GemmBenchmark.shape(tokens: tokens, outputs: outputs, inputs: inputs) { settings.shapes = [shape] }
            if let product { settings.directions = [try GemmBenchmark.direction(product)] }
            if let dtype { settings.types = [try StepBenchmark.compute(dtype)] }
            settings.threads = Bench.threads(threads)
            settings.repeats = repeats
            settings.quantizes = try StepBenchmark.quantizes(quant)
            settings.kernels = kernels
            let report = try GemmBenchmark.run(settings)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

struct BenchQuantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize", abstract: "Quantizing f32 to NF4.",
        discussion: """
              loram-mpi bench quantize
              loram-mpi bench quantize --rows 4096 --columns 11008 --no-double --json

            The limit is memcpy of the input, measured between the repeats on the same threads.
            """)

    @Option(help: "Rows of the tensor.") var rows = 8192
    @Option(help: "Columns of the tensor.") var columns = 8192
    @Option(help: "Compute threads; default: 1 and the processors this process may use.") var threads: Int?
    @Option(help: "Repeats.") var repeats = 5
    @Flag(inversion: .prefixedNo, help: "Quantize the scales too.") var double = true
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            var settings = QuantizeBenchmark.Settings()
            (settings.rows, settings.columns, settings.repeats, settings.double) = (rows, columns, repeats, double)
            settings.threads = Bench.threads(threads)
            let report = try QuantizeBenchmark.run(settings)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

extension Bench {
    /// What is asked for, or one thread and all of them.
    static func threads(_ count: Int?) -> [Int] { count.map { [$0] } ?? Set([1, Machine.availableProcessorCount]).sorted() }
}

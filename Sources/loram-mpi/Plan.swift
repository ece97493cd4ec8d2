import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Plan: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Parameters, bytes, traffic, bubble and time of a setting; needs no weights.",
        discussion: """
              loram-mpi plan --model llama-2-70b --method stru --ratio 0.85 --quantization nf4
              loram-mpi plan --model llama-2-70b --method stru --ratio 0.85 --stages 8 --replicas 2 --gflops 60 --bandwidth 12
              loram-mpi plan --model llama-3.1-70b --method stru --ratio 0.85 --quantization nf4 --nodes 8 --cores 64 --memory 128
              loram-mpi plan --recipe recipe.yaml --phase align --json
              loram-mpi plan --model llama-2-70b --ratio 0 --score-tokens 100000 --disk 2
              loram-mpi plan --paper

            With --nodes it looks for the fastest stages x replicas x micro-batch whose ranks fit the memory, and lists what the others \
            would cost. A checkpoint that was pruned or quantized before is taken as it is. --gflops is what a core reaches in training \
            (tokens/s x FLOP a token), measured here in a second where it is not given. Micro-batches are taken to be full.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Preset, checkpoint directory or config.json (recipe: model).") var model: String?
    @Option(help: "rand, stru, semi or unst (recipe: pruning.method).") var method: String?
    @Option(help: "Fraction of every pruned layer that goes; 0: nothing (recipe: pruning.ratio).") var ratio: Double?
    @Option(help: "n:m of semi: n zeros of m (recipe: pruning.pattern).") var pattern: String?
    @Option(help: "First layers that stay whole (recipe: pruning.keep_first).") var keepFirst: Int?
    @Option(help: "Last layers that stay whole (recipe: pruning.keep_last).") var keepLast: Int?
    @Option(help: "none or nf4 (recipe: quantization.type). Where nothing says, counts and bytes of the model are those of plain weights, and training is planned in nf4.") var quantization: String?
    @Option(help: "LoRA rank (recipe: lora.rank).") var rank: Int?
    @Option(help: "LoRA targets, comma-separated (recipe: lora.targets).") var targets: String?
    @Option(help: "Pipeline stages (recipe: parallel.stages).") var stages: Int?
    @Option(help: "Data-parallel replicas (recipe: parallel.replicas).") var replicas: Int?
    @Option(help: "Samples of a micro-batch (recipe: batch.micro).") var micro: Int?
    @Option(help: "Tokens of a sample (recipe: data.length).") var length: Int?
    @Option(help: "full, selective or none (recipe: compute.recompute).") var recompute: String?
    @Option(help: "What is planned: train or align.") var phase = Recipe.Phase.train
    @Option(help: "Machines: searches the grid.") var nodes: Int?
    @Option(help: "Cores of a machine; without --nodes, of a rank. Default: this machine's.") var cores: Int?
    @Option(help: "GiB of a machine. Default: this machine's.") var memory: Double?
    @Option(help: "GFLOP/s that a core reaches. Default: measured here.") var gflops: Double?
    @Option(help: "GB/s between machines. Default: 1.25.") var bandwidth: Double?
    @Option(help: "Tokens to score with the whole model: time and memory of `evaluate --stream`.") var scoreTokens: Int?
    @Option(help: "GB/s that the disk reads. Default: 1.") var disk: Double?
    @Flag(help: "The tables of the paper beside our own numbers.") var paper = false
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        if nodes != nil, stages != nil || replicas != nil {
            throw ValidationError("--nodes and --stages or --replicas: expected one of them, found both; --nodes looks for stages and replicas itself")
        }
    }

    func run() throws {
        try Job.runOnOneProcess {
            if paper {
                let tables = try PaperTables()
                if json { tables.json.printLine() } else { print(tables) }
                return
            }
            var options = PlanRun.Options()
            (options.phase, options.nodes, options.cores, options.memory) = (phase, nodes, cores, memory)
            options.shortensSamples = length == nil && recipe.recipe == nil && !recipe.sets { ["data.length", "alignment.data.length"].contains($0) }
            (options.gigaflops, options.bandwidth) = (gflops, bandwidth)
            options.countsPlainWeights = quantization == nil && recipe.recipe == nil && !recipe.sets { $0 == "quantization" || $0.hasPrefix("quantization.") }
            (options.scoredTokens, options.disk) = (scoreTokens, disk)
            let report = try PlanRun(Recipe.load(file: recipe.recipe, overrides: overrides), options)
            if json { report.json.printLine() } else { print(report) }
        }
    }

    private var overrides: [String] {
        let given = recipe.overrides(
            texts: [
                ("model", model), ("pruning.method", method), ("pruning.pattern", pattern), ("quantization.type", quantization),
                ("compute.recompute", recompute),
            ],
            numbers: [
                ("pruning.ratio", ratio), ("pruning.keep_first", keepFirst), ("pruning.keep_last", keepLast), ("lora.rank", rank),
                ("parallel.stages", stages), ("parallel.replicas", replicas), (phase.keyPrefix + "batch.micro", micro),
                (phase.keyPrefix + "data.length", length),
            ])
        return given + (targets.map { ["lora.targets=[\($0)]"] } ?? [])
    }
}

extension Recipe.Phase: ExpressibleByArgument {}

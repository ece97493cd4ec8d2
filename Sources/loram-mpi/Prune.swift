import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prune a checkpoint: a smaller or sparser one to train on, and the plan or masks that map it back.",
        discussion: """
              loram-mpi prune --model llama-2-13b-hf --output pruned --method stru --ratio 0.65 --calibration texts.jsonl
              loram-mpi prune --model llama-2-13b-hf --output pruned --method rand --ratio 0.65 --seed 42
              mpirun -np 4 loram-mpi prune --model llama-2-13b-hf --output sparse --method semi --pattern 4:8 --calibration texts.jsonl
              loram-mpi prune --model llama-2-13b-hf --output sparse --method unst --ratio 0.5 --score wanda --calibration texts.jsonl
              loram-mpi prune --model llama-2-13b-hf --output pruned --plan other/pruning_plan.json

            rand and stru remove heads and MLP channels of every layer but the first 4 and the last 2; embedding, head and norms stay. \
            The output holds pruning_plan.json and opens in transformers (trust_remote_code) and PEFT. semi and unst keep the \
            shapes and set single weights of all layers to zero: the output is a plain Llama with pruning_masks.safetensors. \
            align and train find the output as `output`/pruned of their recipe, or by trained_on.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Checkpoint directory or preset (recipe: model).") var model: String?
    @Option(help: "Directory to make.") var output: String
    @Option(help: "stru: least gradient importance; rand: at random; semi: n:m pattern; unst: anywhere (recipe: pruning.method).") var method: String?
    @Option(help: "Fraction of every pruned layer that goes; semi has its pattern (recipe: pruning.ratio).") var ratio: Double?
    @Option(help: "Seed of the choice and of the calibration texts (recipe: seed).") var seed: UInt64?
    @Option(help: "First layers that stay whole (recipe: pruning.keep_first).") var keepFirst: Int?
    @Option(help: "Last layers that stay whole (recipe: pruning.keep_last).") var keepLast: Int?
    @Option(help: "A pruning_plan.json, lists of pruned indices (JSON, safetensors) or pruning_masks.safetensors to apply (recipe: pruning.plan).") var plan: String?
    @Option(help: "n:m of semi: n zeros in every m weights of a row (recipe: pruning.pattern).") var pattern: String?
    @Option(help: "What semi and unst choose by: auto (SparseGPT), magnitude or wanda (recipe: pruning.score).") var score: String?
    @Option(help: "stru: vectorize, param_first, param_second or param_mix (recipe: pruning.importance).") var importance: String?
    @Option(help: "stru: rounds of scoring and removing (recipe: pruning.iterations).") var iterations: Int?
    @Option(help: "Calibration dataset; rand and magnitude need none (recipe: pruning.calibration.path).") var calibration: String?
    @Option(help: "Calibration sequences: stru 10, semi and unst 128 (recipe: pruning.calibration.samples).") var samples: Int?
    @Option(help: "Tokens of a calibration sequence: stru 64, semi and unst 2048 (recipe: pruning.calibration.length).") var length: Int?
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        let given = [("method", method != nil), ("ratio", ratio != nil), ("pattern", pattern != nil), ("score", score != nil), ("importance", importance != nil)]
        if plan != nil, let flag = given.first(where: { $0.1 })?.0 {
            throw ValidationError("--plan and --\(flag): expected one of them, found both; leave out --\(flag), since the plan says what is pruned")
        }
    }

    func run() throws {
        let overrides = recipe.overrides(
            texts: [
                ("model", model), ("pruning.method", method), ("pruning.plan", plan), ("pruning.pattern", pattern), ("pruning.score", score),
                ("pruning.importance", importance), ("pruning.calibration.path", calibration),
            ],
            numbers: [
                ("pruning.ratio", ratio), ("seed", seed), ("pruning.keep_first", keepFirst), ("pruning.keep_last", keepLast),
                ("pruning.iterations", iterations), ("pruning.calibration.samples", samples), ("pruning.calibration.length", length),
            ])
        // What needs no forward pass needs no MPI either.
        if !Job.isLaunched {
            let loaded = try Recipe.load(file: recipe.recipe, overrides: overrides)
            if PruningRun.handles(loaded.pruning) { return report(try PruningRun.run(loaded, output: output)) }
        }
        try Job.run(recipeFile: recipe.recipe, overrides: overrides) { job in
            if let result = try PruningJob.run(job, output: output) { report(result) }
        }
    }

    private func report(_ report: PruningReport) {
        if json { report.json.printLine() } else { print(report) }
    }
}

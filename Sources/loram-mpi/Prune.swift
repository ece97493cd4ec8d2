import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prune a checkpoint: a smaller one to train on, and the plan that maps it back.",
        discussion: """
              loram-mpi prune --model llama-2-13b-hf --output pruned --method rand --ratio 0.65 --seed 42
              loram-mpi prune --recipe recipe.yaml --output runs/x/pruned

            Heads and MLP channels of every layer but the first 4 and the last 2 go; embedding, head and norms stay. The output holds \
            pruning_plan.json and opens in transformers (trust_remote_code) and PEFT. align and train find it as `output`/pruned of \
            their recipe, or by trained_on.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Checkpoint directory or preset (recipe: model).") var model: String?
    @Option(help: "Directory to make.") var output: String
    @Option(help: "rand, the only one so far (recipe: pruning.method).") var method: String?
    @Option(help: "Fraction of every pruned layer that goes (recipe: pruning.ratio).") var ratio: Double?
    @Option(help: "Seed of the choice (recipe: seed).") var seed: UInt64?
    @Option(help: "First layers that stay whole (recipe: pruning.keep_first).") var keepFirst: Int?
    @Option(help: "Last layers that stay whole (recipe: pruning.keep_last).") var keepLast: Int?
    @Option(help: "n:m pattern of non-structured pruning; rand does not read it (recipe: pruning.pattern).") var pattern: String?
    @Option(help: "Calibration texts; refused with rand, which needs none (recipe: pruning.calibration.path).") var calibration: String?
    @Option(help: "Calibration sequences; rand does not read it (recipe: pruning.calibration.samples).") var samples: Int?
    @Option(help: "Tokens of a calibration sequence; rand does not read it (recipe: pruning.calibration.length).") var length: Int?
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        let overrides = recipe.overrides(
            texts: [("model", model), ("pruning.method", method), ("pruning.pattern", pattern), ("pruning.calibration.path", calibration)],
            numbers: [
                ("pruning.ratio", ratio), ("seed", seed), ("pruning.keep_first", keepFirst), ("pruning.keep_last", keepLast),
                ("pruning.calibration.samples", samples), ("pruning.calibration.length", length),
            ])
        try Job.runOnOneProcess {
            let report = try PruningRun.run(Recipe.load(file: recipe.recipe, overrides: overrides), output: output)
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Recover: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring an adapter trained on a pruned model to the original model's shape.",
        discussion: """
              loram-mpi recover --model llama-2-13b-hf --pruned pruned --adapter runs/x/adapter-pruned --output adapter

            The output is a PEFT adapter that loads on the original model. `train` does this by itself at its end; by hand it serves for \
            another fill (--set recovery.fill=normal).
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "The original model: directory, preset or config.json (recipe: model).") var model: String?
    @Option(help: "The pruned checkpoint, or its pruning_plan.json.") var pruned: String
    @Option(help: "Adapter in the pruned model's shapes.") var adapter: String
    @Option(help: "Directory to make; its parent must be there.") var output: String
    @Flag(help: "Also write the merged full model; not there yet, refused.") var merge = false

    func run() throws {
        let overrides = recipe.overrides(texts: [("model", model)]) + (merge ? ["recovery.merge=true"] : [])
        try Job.runOnOneProcess {
            try RecoveryRun.run(
                Recipe.load(file: recipe.recipe, overrides: overrides), pruned: pruned, adapter: adapter, output: output)
        }
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Recover: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring an adapter trained on a pruned model to the original model's shape; merge it into the full model.",
        discussion: """
              loram-mpi recover --model llama-2-13b-hf --pruned pruned --adapter runs/x/adapter-pruned --output adapter
              mpirun -np 8 loram-mpi recover --model llama-2-13b-hf --pruned pruned --adapter runs/x/adapter-pruned --output out --merge

            The output is a PEFT adapter that loads on the original model; with --merge it is OUTPUT/adapter, and OUTPUT/model the full \
            model, compressed: every command reads it as it is, unpack makes plain safetensors of it. Without --pruned the adapter was \
            trained on the whole model. `train` does all this by itself at its end.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "The original model: directory, preset or config.json (recipe: model).") var model: String?
    @Option(help: "The pruned checkpoint, or its pruning_plan.json.") var pruned: String?
    @Option(help: "Adapter in the shapes of the model that it was trained on.") var adapter: String
    @Option(help: "Directory to make.") var output: String
    @Flag(help: "Also write the merged full model.") var merge = false
    @Option(help: "Codec of the merged model: planes, zstd, base (computed from the original when read) or none (recipe: recovery.compress).")
    var compress: String?
    @Flag(name: .customLong("no-sha256"), help: "Keep no SHA-256 of the files.") var noSHA256 = false
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        guard !merge else { return }
        for (flag, isGiven) in [("compress", compress != nil), ("no-sha256", noSHA256)] where isGiven {
            throw ValidationError("--\(flag): expected --merge beside it, found none; an adapter alone is neither compressed nor hashed")
        }
    }

    func run() throws {
        let overrides = recipe.overrides(texts: [("model", model), ("recovery.compress", compress)])
        guard merge else {
            return try Job.runOnOneProcess {
                try RecoveryRun.run(
                    Recipe.load(file: recipe.recipe, overrides: overrides), pruned: pruned, adapter: adapter, output: output)
                if json { (["adapter": .string(output)] as JSONValue).printLine() }
            }
        }
        try Job.run(recipeFile: recipe.recipe, overrides: overrides) { job in
            let report = try MergedRecovery.run(job, pruned: pruned, adapter: adapter, output: output, hashes: !noSHA256)
            guard let report else { return }
            if json { report.json.printLine() } else { print(report) }
        }
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Evaluate: ParsableCommand {
    enum BOS: String, ExpressibleByArgument, CaseIterable { case auto, never }

    static let configuration = CommandConfiguration(
        abstract: "Perplexity of a text under a model, with or without an adapter.",
        discussion: """
              loram-mpi evaluate --model llama-2-13b-hf --adapter runs/x/adapter --perplexity test.jsonl --json
              mpirun -np 4 loram-mpi evaluate --model pruned --perplexity test.txt --set parallel.stages=4

            A document longer than the window is cut into disjoint windows, each with BOS; every token is scored once. Instruction \
            data are scored as with data.template; --answers-only leaves the prompts out. Computes in f32, on 4-bit \
            weights in bf16, unless compute.type says otherwise. Over several ranks \
            every rank holds the whole model unless parallel.stages says otherwise.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Checkpoint directory or preset (recipe: model).") var model: String?
    @Option(help: "PEFT adapter directory.") var adapter: String?
    @Option(help: "Dataset or text file to score.") var perplexity: String
    @Option(help: "Tokens of a window.") var length = 512
    @Option(help: "Template of instruction data: alpaca or none (recipe: data.template).") var template: String?
    @Flag(help: "Score the answers of instruction data only.") var answersOnly = false
    @Option(help: "auto: BOS before every window if the model has one; never: none.") var bos = BOS.auto
    @Flag(help: "Report as JSON.") var json = false

    func run() throws {
        let overrides = recipe.overrides(texts: [("model", model), ("data.template", template)])
        try Job.run(recipeFile: recipe.recipe, overrides: overrides, forScoring: true) { job in
            let recipe = job.recipe
            let settings = EvaluationRun.Settings(
                model: try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed, adapter: adapter,
                data: .init(
                    path: perplexity, template: try PromptTemplate.named(recipe.data.template.rawValue), answersOnly: answersOnly, length: length,
                    addsBOS: bos == .auto),
                microBatchSize: recipe.batch.micro)
            let result = try EvaluationRun.perplexity(job, settings)
            guard job.world.rank == 0 else { return }
            if json {
                let report: JSONValue = [
                    "perplexity": .double(result.perplexity), "nll": .double(result.meanLoss), "tokens": .integer(result.tokenCount),
                ]
                report.printLine()
            } else {
                print("perplexity \(Formatting.fixed(result.perplexity, decimals: 4))  nll \(Formatting.fixed(result.meanLoss, decimals: 6))  tokens \(result.tokenCount)")
            }
        }
    }
}

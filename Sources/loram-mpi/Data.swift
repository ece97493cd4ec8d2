import ArgumentParser
import Foundation
import LoRAMDist
import LoRAMEngine

struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "What a dataset looks like to the trainer: counts, lengths, the first samples as tokens.",
        discussion: """
              loram-mpi data alpaca.json --tokenizer llama-2-7b-hf
              loram-mpi data chats.jsonl.zst --tokenizer llama-3.1-8b --template llama-3 --length 2048 --samples 5
              loram-mpi data corpus.txt --tokenizer llama-2-7b-hf --packing --json
              loram-mpi data --recipe recipe.yaml --phase align

            Without a file: the recipe's training data, one file after the other; the tokenizer is then the one beside its model. Learnt tokens \
            are green, or between [[ and ]] where there is no terminal.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Argument(help: "Dataset: JSONL, JSON or text, also .gz and .zst (recipe: data.train).") var file: String?
    @Option(help: "Tokenizer file, or a directory with one; token ids need none. Default: beside the recipe's model.") var tokenizer: String?
    @Option(help: "The file's: alpaca, conversations, messages, openorca, prompt, text, input_ids, plain or auto.") var format: String?
    @Option(help: "alpaca, llama-2, llama-3, chatml or none (recipe: data.template).") var template: String?
    @Option(help: "Tokens of a sample at most (recipe: data.length).") var length: Int?
    @Flag(help: "Several documents in a sample (recipe: data.packing).") var packing = false
    @Flag(help: "Prompts are learnt, too (recipe: data.answers_only).") var allTokens = false
    @Option(help: "Whose data the recipe's are: train or align.") var phase = Recipe.Phase.train
    @Option(help: "Samples to show.") var samples = 2
    @Option(help: "Samples to look at for lengths.") var limit = 100_000
    @Flag(help: "Report as JSON: of a file its object, of a recipe a list of them.") var json = false

    func validate() throws {
        guard samples >= 0, limit >= 1 else { throw ValidationError("expected --samples from 0 and --limit from 1") }
        if format != nil, file == nil { throw ValidationError("--format: expected a file beside it, found none") }
    }

    func run() throws {
        try Job.runOnOneProcess {
            let reports = try DataInspection.reports(
                Recipe.load(file: recipe.recipe, overrides: overrides), phase: phase, tokenizer: tokenizer, shown: samples, limit: limit)
            if json {
                (file == nil ? .array(reports.map(\.json)) : reports[0].json).printLine()
            } else {
                print(reports.map { $0.text(colored: isatty(STDOUT_FILENO) == 1) }.joined(separator: "\n\n"))
            }
        }
    }

    private var overrides: [String] {
        let prefix = phase.keyPrefix + "data."
        var overrides = recipe.overrides(texts: [(prefix + "template", template)], numbers: [(prefix + "length", length)])
        if packing { overrides.append(prefix + "packing=true") }
        if allTokens { overrides.append(prefix + "answers_only=false") }
        if let file { overrides.append(Recipe.override(prefix + "train", dataset: file, format: format ?? "auto")) }
        return overrides
    }
}

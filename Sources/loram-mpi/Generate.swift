import ArgumentParser
import Foundation
import LoRAMDist
import LoRAMEngine

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Text from prompts, with a model, with or without an adapter.",
        discussion: """
              loram-mpi generate --model llama-2-13b-hf --adapter runs/x/adapter --template alpaca --prompt "Name three rivers."
              mpirun -np 4 loram-mpi generate --model quantized --prompts prompts.jsonl --output answers.jsonl --set parallel.stages=4
              loram-mpi generate --model base --prompt "Once upon a time" --temperature 0.8 --top-p 0.95 --samples 3 --stop "The end" --json

            A file of prompts holds one JSON object a line: prompt (a text), input_ids (as they are), instruction and input, or messages. Without a template \
            a text is continued as it is. Text ends at a token that ends a text, before a stop string, or after --max-tokens. A prompt's text \
            depends on the prompt, its place in the file and the seed: not on the grid, the batch or the other prompts. Up to \(GenerationStage.rowsTogether) \
            sequences share one reading of the weights. Computes in f32, on 4-bit weights in bf16, unless compute.type says otherwise. Over \
            several ranks every rank holds the whole model unless parallel.stages says otherwise.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Checkpoint directory or preset (recipe: model).") var model: String?
    @Option(help: "PEFT adapter directory.") var adapter: String?
    @Option(help: "What the model goes on from, or with a template answers.") var prompt: String?
    @Option(help: "JSON lines of prompts.") var prompts: String?
    @Option(help: "alpaca, llama-2, llama-3, chatml or none.") var template = "none"
    @Option(help: "New tokens at most.") var maxTokens = 128
    @Option(help: "0: always the most likely token; above, the flatter the more random.") var temperature = 0.0
    @Option(help: "Draw from the most likely tokens that together have this probability.") var topP = 1.0
    @Option(help: "Draw from so many of the most likely tokens.") var topK: Int?
    @Option(help: "Of the random numbers (recipe: seed).") var seed: UInt64?
    @Option(help: "Completions of each prompt.") var samples = 1
    @Option(help: "Text ends before this string; may be given many times.") var stop: [String] = []
    @Option(help: "Sequences at once in each replica.") var batch = GenerationStage.rowsTogether
    @Option(help: "auto: BOS before every prompt if the tokenizer puts one; never: none.") var bos = Evaluate.BOS.auto
    @Flag(help: "Print all as one JSON object at the end, instead of text as it comes.") var json = false
    @Option(help: "File for one line of JSON a completion.") var output: String?

    func validate() throws {
        guard (prompt == nil) != (prompts == nil) else { throw ValidationError("expected --prompt TEXT or --prompts FILE.jsonl") }
        guard batch > 0 else { throw ValidationError("expected --batch from 1") }
    }

    func run() throws {
        let overrides = recipe.overrides(texts: [("model", model)], numbers: [("seed", seed)])
        try Job.run(recipeFile: recipe.recipe, overrides: overrides, forScoring: true) { job in
            let settings = try job.world.together {
                if job.world.rank == 0, let output { try OutputFile.requireWritable(output) }
                return try self.settings(job.recipe)
            }
            let terminal = CompletionPrinter(sampleCount: samples)
            let result = try GenerationRun.run(job, settings, begin: { terminal.begin($0) }, onText: json ? nil : { terminal.show($0) })
            guard job.world.rank == 0 else { return }
            if json { result.json.printLine() } else { terminal.finish(result.completions) }
            if let output { try write(result.completions, to: output) }
            job.note(result.statistics.description)
        }
    }

    private func settings(_ recipe: Recipe) throws -> GenerationRun.Settings {
        GenerationRun.Settings(
            model: try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed, adapter: adapter, source: prompt.map { .text($0) } ?? .file(prompts!),
            template: try PromptTemplate.named(template), addsBOS: bos == .auto,
            generation: GenerationSettings(
                maxTokens: maxTokens, sampling: Sampling(temperature: temperature, topK: topK, topP: topP, seed: recipe.seed), stopStrings: stop,
                sampleCount: samples),
            batchSize: batch)
    }

    private func write(_ completions: [Completion], to path: String) throws {
        let file = try OutputFile(path: path)
        for completion in completions { try file.write(completion.json.serializedBytes() + [0x0a]) }
        try file.finish()
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Evaluate: ParsableCommand {
    enum BOS: String, ExpressibleByArgument, CaseIterable { case auto, never }

    static let configuration = CommandConfiguration(
        abstract: "Perplexity and benchmark tasks under a model, with or without an adapter; several side by side.",
        discussion: """
              loram-mpi evaluate --model llama-2-13b-hf --adapter runs/x/adapter --perplexity test.jsonl --json
              mpirun -np 4 loram-mpi evaluate --model pruned --perplexity test.txt --set parallel.stages=4
              loram-mpi evaluate --model llama-2-13b-hf --task arc_easy=arc.jsonl --fewshot arc_easy=arc.train.jsonl --shots 1 --length 2048
              loram-mpi evaluate --compare base=llama-2-13b-hf loram=llama-2-13b-hf+runs/x/adapter pruned=runs/x/pruned+runs/x/adapter-pruned \\
                --perplexity test.jsonl --task piqa=piqa.jsonl

            A document longer than the window is cut into disjoint windows, each with BOS; every token is scored once. Instruction \
            data are scored as with data.template; --answers-only leaves the prompts out. Computes in f32, on 4-bit \
            weights in bf16, unless compute.type says otherwise. Over several ranks \
            every rank holds the whole model unless parallel.stages says otherwise.

            A model that does not fit into the ranks' memory is scored layer by layer: each layer is read once for all texts, two are in \
            memory, activations go to a file where they must. Same numbers, bit for bit; `plan --score-tokens N` foretells the time.

            Tasks: \(EvaluationTask.names). Files are in the fields of the Hugging Face datasets; questions are posed, \
            examples drawn and answers scored as lm-evaluation-harness does. Without --fewshot, examples come from the file itself; gsm8k_cot takes the first ones of a --fewshot file (question, target).

            humaneval runs the programs that the model writes, in a sandbox: no network, no other processes, no files but its own, limits on \
            time and memory. It needs python3 and, of the system, user namespaces or Landlock.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Checkpoint directory or preset (recipe: model).") var model: String?
    @Option(help: "PEFT adapter directory.") var adapter: String?
    @Option(help: "Dataset or text file to score.") var perplexity: String?
    @Option(help: ArgumentHelp("A task and its questions; may be given many times.", valueName: "name=file")) var task: [String] = []
    @Option(help: ArgumentHelp("Where a task's examples come from.", valueName: "name=file")) var fewshot: [String] = []
    @Option(help: "Examples before each question.") var shots = 0
    @Option(help: "Only so many questions of a task.") var limit: Int?
    @Option(help: "File for one line of JSON a question or sample: log-likelihoods, texts, right or wrong.") var log: String?
    @Option(help: "humaneval: programs for each function, at each temperature.") var samples = 10
    @Option(help: "humaneval: temperatures of which the best counts, comma-separated.") var temperatures = "0,0.2,0.4,0.6,0.8"
    @Option(help: "humaneval: new tokens of a program at most.") var maxTokens = 512
    @Option(help: "humaneval: seconds that a program may take.") var programSeconds = 3.0
    @Option(help: "humaneval: the interpreter. Default: python3 of /usr/bin, or of PATH.") var python: String?
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Several models in one table, instead of --model and --adapter.", valueName: "[label=]model[+adapter]"))
    var compare: [String] = []
    @Option(help: "Tokens of a window.") var length = 512
    @Option(help: "Template of instruction data: alpaca, llama-2, llama-3, chatml or none (recipe: data.template).") var template: String?
    @Flag(help: "Score the answers of instruction data only.") var answersOnly = false
    @Option(help: "auto: BOS before every window if the tokenizer puts one; never: none.") var bos = BOS.auto
    @Flag(help: "Score layer by layer even where the model fits into memory.") var stream = false
    @Option(help: "GiB that each rank may use; a model that needs more is scored layer by layer. Default: the rank's share of the machine.")
    var memory: Double?
    @Option(help: "Directory for activations that do not fit into memory. Default: $TMPDIR or /var/tmp.") var spill: String?
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        guard perplexity != nil || !task.isEmpty else { throw ValidationError("expected --perplexity FILE or --task NAME=FILE") }
        for pair in task + fewshot where !pair.contains("=") { throw ValidationError("expected NAME=FILE, found '\(pair)'") }
        guard shots >= 0, limit ?? 1 > 0 else { throw ValidationError("expected --shots from 0 and --limit from 1") }
        guard samples > 0, samples <= GenerationSettings.mostSamples, maxTokens > 0, programSeconds > 0, programSeconds <= 3600, temperatureList != nil else {
            throw ValidationError("expected --samples 1 to 10000, --max-tokens from 1, --program-seconds above 0, --temperatures like 0,0.2")
        }
        guard memory.map({ $0 > 0 && $0 < 1e6 }) ?? true else { throw ValidationError("expected --memory in GiB, above 0") }
        guard compare.isEmpty || (model == nil && adapter == nil) else { throw ValidationError("--compare names the models: leave out --model and --adapter") }
    }

    func run() throws {
        let overrides = recipe.overrides(texts: [("model", model), ("data.template", template)])
        let tasks = namedTasks
        let sandbox = try Sandbox.start(for: tasks, python: python)
        try Job.run(recipeFile: recipe.recipe, overrides: overrides, forScoring: true) { job in
            let recipe = job.recipe
            try job.world.together { if job.world.rank == 0, let log { try OutputFile.requireWritable(log) } }
            let data = try perplexity.map {
                EvaluationData.Configuration(
                    path: $0, template: try PromptTemplate.named(recipe.data.template.rawValue), answersOnly: answersOnly, length: length,
                    addsBOS: bos == .auto)
            }
            let subjects =
                compare.isEmpty
                ? [.init(model: try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed, adapter: adapter)] : compare.map(Self.subject)
            var settings = EvaluationRun.Settings(perplexity: data, microBatchSize: recipe.batch.micro)
            (settings.sandbox, settings.addsBOS) = (sandbox, bos == .auto)
            var programs = EvaluationRun.ProgramSampling(seed: recipe.seed)
            (programs.samples, programs.temperatures, programs.maxTokens) = (samples, temperatureList ?? [], maxTokens)
            for task in tasks { try settings.add(task, length: length, programs: programs) }
            settings.programLimits.seconds = programSeconds
            settings.streaming.isForced = stream
            settings.streaming.memoryByteCount = memory.map { Int($0 * Double(1 << 30)) }
            if let spill { settings.streaming.spillDirectory = spill }
            let reports = try EvaluationRun.run(job, subjects, settings)
            guard job.world.rank == 0 else { return }
            if json {
                (compare.isEmpty ? reports[0].json : ["models": .array(reports.map(\.json))] as JSONValue).printLine()
            } else {
                print(EvaluationReport.table(reports))
            }
            if let log { try write(reports, to: log) }
        }
    }

    private var temperatureList: [Double]? {
        let values = temperatures.split(separator: ",", omittingEmptySubsequences: false).map { Double($0.filter { $0 != " " }) }
        return values.allSatisfy { $0.map { (0...100).contains($0) } ?? false } ? values.map { $0! } : nil
    }

    private var namedTasks: [EvaluationRecipe.Task] {
        let examples = Dictionary(fewshot.map(Self.pair)) { $1 }
        return task.map(Self.pair).map { name, path in
            var task = EvaluationRecipe.Task()
            (task.name, task.path, task.shots, task.limit) = (name, path, shots, limit)
            // gsm8k is short for gsm8k_cot.
            task.fewshot = examples[name] ?? (name.hasPrefix("gsm8k") ? examples["gsm8k_cot"] ?? examples["gsm8k"] : nil)
            return task
        }
    }

    private static func pair(_ text: String) -> (String, String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (parts[0], parts[1])
    }

    /// `label=model+adapter`; without a label the whole is one.
    private static func subject(_ text: String) -> EvaluationRun.Subject {
        let named = text.split(separator: "=", maxSplits: 1).map(String.init)
        let parts = (named.last ?? text).split(separator: "+", maxSplits: 1).map(String.init)
        return .init(label: named.count == 2 ? named[0] : text, model: parts.first ?? text, adapter: parts.count == 2 ? parts[1] : nil)
    }

    private func write(_ reports: [EvaluationReport], to path: String) throws {
        let output = try OutputFile(path: path)
        for report in reports {
            for line in report.tasks.flatMap(\.log) + report.written.flatMap(\.log) {
                var line = line
                if !report.label.isEmpty { line["model"] = .string(report.label) }
                try output.write(Array((line.serialized() + "\n").utf8))
            }
        }
        try output.finish()
    }
}

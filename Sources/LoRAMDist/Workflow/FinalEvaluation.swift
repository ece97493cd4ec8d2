import LoRAMEngine

/// Perplexities of a finished run's models on the recipe's evaluation sets, and its tasks, as the paper's tables have them: the original model,
/// the original with the recovered adapter, the trained-on model alone and with its own adapter. Written to evaluation.json.
struct FinalEvaluation {
    private let job: Job
    private let paths: RunPaths
    private let sandbox: ProgramSandbox?

    /// Tokens of a question with its examples and answer at most, as lm-evaluation-harness has it.
    private static let taskLength = 2048

    init(_ job: Job, _ paths: RunPaths, sandbox: ProgramSandbox?) {
        self.job = job
        self.paths = paths
        self.sandbox = sandbox
    }

    /// All ranks call this.
    func run() throws {
        let recipe = job.recipe, model = try recipe.requiredModel()
        try job.stage([recipe.trainedOn, paths.pruned, paths.aligned, paths.quantized, paths.prunedAdapter, paths.adapter])
        var arms: [(name: String, model: String, adapter: String?)] = [("base", model, nil), ("loram", model, paths.adapter)]
        let trainedOn = try recipe.trainedOn ?? TrainedBase.result(before: .train, recipe)
        if let trainedOn {
            let own = FilePath.exists(paths.prunedAdapter) ? paths.prunedAdapter : paths.adapter
            arms += [("trained_on", trainedOn, nil), ("trained_on_adapter", trainedOn, own)]
        }
        var table: [JSONMember] = []
        for arm in arms {
            let subject = EvaluationRun.Subject(
                model: arm.model, syntheticSeed: arm.model == model ? recipe.syntheticSeed : nil, adapter: arm.adapter)
            let scores = try perplexities(arm.name, subject) + tasks(arm.name, subject)
            table.append(JSONMember(arm.name, .object(scores)))
        }
        try job.world.onRoot { try OutputFile.write(JSONValue.object(table).serializedBytes(pretty: true), to: paths.evaluation) }
    }

    private func perplexities(_ arm: String, _ subject: EvaluationRun.Subject) throws -> [JSONMember] {
        let recipe = job.recipe
        return try recipe.data.evaluation.compactMap { set in
            let data = EvaluationData.Configuration(
                path: set.path, format: try DatasetFormat.named(set.format.rawValue), template: try PromptTemplate.named(recipe.data.template.rawValue),
                answersOnly: recipe.data.answersOnly, length: recipe.data.length)
            let reports = try EvaluationRun.run(job, [subject], .init(perplexity: data, microBatchSize: recipe.batch.micro))
            guard let result = reports.first?.perplexity else { return nil }
            job.note("\(arm)  \(set.name)  perplexity \(Formatting.fixed(result.perplexity, decimals: 4))")
            return JSONMember(
                set.name, ["perplexity": .double(result.perplexity), "nll": .double(result.meanLoss), "tokens": .integer(result.tokenCount)])
        }
    }

    /// All tasks with one reading of the model. Rank 0 has the results.
    private func tasks(_ arm: String, _ subject: EvaluationRun.Subject) throws -> [JSONMember] {
        let recipe = job.recipe
        guard !recipe.evaluation.tasks.isEmpty else { return [] }
        var settings = EvaluationRun.Settings(perplexity: nil, microBatchSize: recipe.batch.micro)
        settings.sandbox = sandbox
        try job.stage([subject.model])
        let positions = try job.world.together { try ModelReference.config(job.storage.local(subject.model)).maxPositionCount }
        for task in recipe.evaluation.tasks {
            try settings.add(task, length: min(Self.taskLength, positions), programs: .init(seed: recipe.seed))
        }
        let report = try EvaluationRun.run(job, [subject], settings)[0]
        for line in EvaluationReport.table([report]).split(separator: "\n") { job.note("\(arm)  \(line)") }
        return report.json.objectMembers ?? []
    }
}

extension ModelReference {
    /// Its weights are stored in 4 bit.
    var isQuantized: Bool {
        if case .checkpoint(let checkpoint) = origin { checkpoint.quantization != nil } else { false }
    }
}

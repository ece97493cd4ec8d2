import LoRAMEngine

/// Perplexities of a finished run's models on the recipe's evaluation sets, as the paper's tables have them: the original model, the
/// original with the recovered adapter, the trained-on model alone and with its own adapter. Written to evaluation.json.
struct FinalEvaluation {
    private let job: Job
    private let paths: RunPaths

    init(_ job: Job, _ paths: RunPaths) {
        self.job = job
        self.paths = paths
    }

    /// All ranks call this.
    func run() throws {
        let recipe = job.recipe, model = try recipe.requiredModel()
        try job.stage([paths.pruned, paths.aligned, paths.quantized, paths.prunedAdapter, paths.adapter])
        var arms: [(name: String, model: String, adapter: String?)] = [("base", model, nil), ("loram", model, paths.adapter)]
        let trainedOn = [paths.quantized, paths.aligned, paths.pruned].first(where: Checkpoint.hasWeights)
        if let trainedOn {
            let own = FilePath.exists(paths.prunedAdapter) ? paths.prunedAdapter : paths.adapter
            arms += [("trained_on", trainedOn, nil), ("trained_on_adapter", trainedOn, own)]
        }
        var table: [JSONMember] = []
        for arm in arms {
            var scores: [JSONMember] = []
            for set in recipe.data.evaluation {
                let subject = EvaluationRun.Subject(
                    model: arm.model, syntheticSeed: arm.model == model ? recipe.syntheticSeed : nil, adapter: arm.adapter)
                let data = EvaluationData.Configuration(
                    path: set.path, format: try DatasetFormat.named(set.format.rawValue), template: try PromptTemplate.named(recipe.data.template.rawValue),
                    answersOnly: recipe.data.answersOnly, length: recipe.data.length)
                let reports = try EvaluationRun.run(job, [subject], .init(perplexity: data, microBatchSize: recipe.batch.micro))
                guard let result = reports.first?.perplexity else { continue }
                scores.append(
                    JSONMember(
                        set.name,
                        ["perplexity": .double(result.perplexity), "nll": .double(result.meanLoss), "tokens": .integer(result.tokenCount)]))
                job.note("\(arm.name)  \(set.name)  perplexity \(Formatting.fixed(result.perplexity, decimals: 4))")
            }
            table.append(JSONMember(arm.name, .object(scores)))
        }
        try job.world.onRoot { try OutputFile.write(JSONValue.object(table).serializedBytes(pretty: true), to: paths.evaluation) }
    }
}

extension ModelReference {
    /// Its weights are stored in 4 bit.
    var isQuantized: Bool {
        if case .checkpoint(let checkpoint) = origin { checkpoint.quantization != nil } else { false }
    }
}

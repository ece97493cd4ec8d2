import LoRAMEngine

/// A step of `run`, in order. Recovery and merging belong to `train`, which ends with them.
public enum WorkflowPhase: String, CaseIterable, Codable, Sendable {
    case prune, align, quantize, train, evaluate

    /// Whether a recipe asks for it.
    func isWanted(_ recipe: Recipe) -> Bool {
        switch self {
        case .prune: recipe.trainedOn == nil && (recipe.pruning.ratio > 0 || recipe.pruning.plan != nil || recipe.pruning.method == .semi)
        case .align: recipe.trainedOn == nil && !recipe.alignment.data.train.isEmpty
        case .quantize: recipe.trainedOn == nil && recipe.quantization.type == .nf4
        case .train: !recipe.data.train.isEmpty
        case .evaluate: !(recipe.data.evaluation.isEmpty && recipe.evaluation.tasks.isEmpty) && !recipe.data.train.isEmpty
        }
    }

    /// What it leaves in the run directory.
    func outputs(_ paths: RunPaths) -> [String] {
        switch self {
        case .prune: [paths.pruned]
        case .align: [paths.aligned]
        case .quantize: [paths.quantized]
        case .train: [paths.prunedAdapter, paths.adapter, paths.model]
        case .evaluate: [paths.evaluation]
        }
    }

    /// The recipe's keys that decide its result, with their values; what earlier phases decide comes in by their outputs' hashes.
    func settings(_ recipe: Recipe) -> [String: String] {
        let sections: Set<Substring>
        switch self {
        case .prune: sections = ["pruning", "seed", "synthetic_seed"]
        case .align: return own(recipe.fingerprint(of: .align).entries, without: ["pruning", "model"])
        case .quantize: sections = ["quantization", "synthetic_seed"]
        case .train:
            return own(recipe.fingerprint(of: .train).entries, without: ["pruning", "alignment", "quantization", "model"])
                .merging(recipe.recovery.resultEntries("recovery").map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        case .evaluate:
            return own(recipe.fingerprint(of: .train).entries.filter { ["data", "compute"].contains($0.key.prefix { $0 != "." }) }, without: [])
                .merging(recipe.evaluation.resultEntries("evaluation").map { ($0.key, $0.value) }.filter { $0.0.hasPrefix("evaluation.tasks") }) { $1 }
        }
        return own(recipe.fingerprint(of: .train).entries.filter { sections.contains($0.key.prefix { $0 != "." }) }, without: [])
    }

    private func own(_ entries: [String: String], without sections: Set<Substring>) -> [String: String] {
        entries.filter { !sections.contains($0.key.prefix { $0 != "." }) }
    }
}

extension RunPaths {
    /// What `run` has done here.
    public var phases: String { "\(run)/phases.json" }
    /// Perplexities and tasks of the finished run's models.
    public var evaluation: String { "\(run)/evaluation.json" }
}

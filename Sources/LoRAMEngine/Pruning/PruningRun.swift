/// The `prune` command: a recipe's pruning applied to its model.
public enum PruningRun {
    /// What was removed and written.
    public struct Report: Sendable, CustomStringConvertible {
        public var method: String
        public var ratio: Double
        public var originalParameters: Int
        public var prunedParameters: Int
        public var output: String

        public var reduction: Double { Double(originalParameters) / Double(prunedParameters) }

        public var json: JSONValue {
            [
                "method": .string(method), "ratio": .double(ratio), "original_parameters": .integer(originalParameters),
                "pruned_parameters": .integer(prunedParameters), "reduction": .double(reduction), "output": .string(output),
            ]
        }

        public var description: String {
            "\(output): \(Formatting.grouped(prunedParameters)) of \(Formatting.grouped(originalParameters)) parameters "
                + "(\(Formatting.fixed(reduction, decimals: 2))x less)"
        }
    }

    /// - Throws: errors of the recipe, the model, the plan and the files.
    public static func run(_ recipe: Recipe, output: String) throws -> Report {
        let pruning = recipe.pruning
        let model = try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
        let plan: PruningPlan
        if let path = pruning.plan {
            plan = try PruningPlan(path: path)
            try plan.require(source: model.config, path: path)
        } else {
            plan = try RandomPruning.plan(
                config: model.config, ratio: pruning.ratio, keepFirst: pruning.keptFirstLayerCount, keepLast: pruning.keptLastLayerCount,
                seed: recipe.seed)
        }
        try StructuredPruner.prune(model, plan: plan, to: output)
        return Report(
            method: plan.method, ratio: plan.ratio, originalParameters: model.config.parameterCount,
            prunedParameters: try plan.prunedConfig(of: model.config).parameterCount, output: output)
    }
}

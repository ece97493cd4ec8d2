/// The `recover` command without its merge: from the files of a pruned model's adapter to those of the original's.
public enum RecoveryRun {
    /// - Parameters:
    ///   - pruned: a pruned checkpoint's directory, or its plan; nil: the adapter was trained on the whole model.
    ///   - replacing: an adapter that is there already may go.
    /// - Throws: errors of the model's config, the plan, the adapter and the files.
    public static func run(_ recipe: Recipe, pruned: String?, adapter: String, output: String, replacing: Bool = false) throws {
        let name = try recipe.requiredModel()
        let config = try ModelReference.config(name)
        // Masks change no shape: the adapter is the original's already.
        if let pruned, FilePath.isDirectory(pruned), try PruningMasks.beside(pruned, of: config) != nil {
            let given = try Adapter(directory: adapter)
            return try AdapterRecovery(source: config, plan: nil).recover(
                given, to: output, baseModel: name, masks: AdapterMask.masks(of: given, config: config), replacing: replacing)
        }
        let planPath = pruned.map { FilePath.isDirectory($0) ? "\($0)/\(PruningPlan.fileName)" : $0 }
        let recovery = try AdapterRecovery(source: config, plan: planPath.map { try PruningPlan(path: $0) })
        let fill: AdapterRecovery.Fill = recipe.recovery.fill == .normal ? .normal(seed: recipe.seed) : .zero
        try recovery.recover(Adapter(directory: adapter), fill: fill, to: output, baseModel: name, replacing: replacing)
    }
}

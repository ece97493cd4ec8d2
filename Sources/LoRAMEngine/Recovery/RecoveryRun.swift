/// The `recover` command: from the files of a pruned model's adapter to those of the original's.
public enum RecoveryRun {
    /// - Parameter pruned: a pruned checkpoint's directory, or its plan.
    /// - Throws: errors of the model's config, the plan, the adapter and the files.
    public static func run(_ recipe: Recipe, pruned: String, adapter: String, output: String) throws {
        let name = try recipe.requiredModel()
        let config = try ModelReference.config(name)
        // Masks change no shape: the adapter is the original's already.
        if FilePath.isDirectory(pruned), try PruningMasks.beside(pruned, of: config) != nil {
            let given = try Adapter(directory: adapter)
            return try AdapterRecovery(source: config, plan: nil).recover(
                given, to: output, baseModel: name, masks: AdapterMask.masks(of: given, config: config))
        }
        let planPath = FilePath.isDirectory(pruned) ? "\(pruned)/\(PruningPlan.fileName)" : pruned
        let recovery = try AdapterRecovery(source: config, plan: PruningPlan(path: planPath))
        let fill: AdapterRecovery.Fill = recipe.recovery.fill == .normal ? .normal(seed: recipe.seed) : .zero
        try recovery.recover(Adapter(directory: adapter), fill: fill, to: output, baseModel: name)
    }
}

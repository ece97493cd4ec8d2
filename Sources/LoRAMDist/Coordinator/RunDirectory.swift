import LoRAMEngine

/// The directory of a run (README's section "Files"), opened for one phase by the coordinator. Other ranks only need `RunPaths`.
public struct RunDirectory {
    /// What `--resume` says.
    public enum Resume: String, Codable, Sendable {
        /// Not given: the phase must not have begun.
        case never
        /// `--resume`: there must be a commit.
        case required
        /// `--resume=auto`: from the latest commit, or from the start.
        case auto
    }

    public let paths: RunPaths
    public let phase: Recipe.Phase
    /// The commit to go on from; nil: from the start.
    public let resumed: StateReader?
    /// What a commit must have been made with to be gone on from.
    let fingerprint: RecipeFingerprint
    public let metrics: MetricsWriter
    public let log: AppendedFile

    public var states: StateDirectory { paths.states }

    /// Creates the directory or opens an existing one, checks that the phase may start or go on with this recipe, removes what a
    /// killed run left, cuts metrics beyond the commit, and writes `recipe.resolved.yaml`. Nothing is changed before the checks.
    ///
    /// - Throws: `RunError`, `RecipeError.differs`, `CheckpointStateError`, `FileError`.
    ///   - base: identity of the checkpoint that is trained (`ModelReference.identity`); nil: not compared.
    public init(_ path: String, phase: Recipe.Phase, recipe: Recipe, resume: Resume, base: String? = nil) throws {
        let paths = RunPaths(path)
        fingerprint = recipe.resumeFingerprint(of: phase, base: base)
        let resumed: StateReader?
        if resume == .never {
            if let sign = try paths.signOfUse(phase) { throw RunError.inUse(path: path, phase: phase, found: sign) }
            resumed = nil
        } else {
            resumed = try paths.states.latest(phase: phase)
            if resumed == nil, resume == .required { throw RunError.noCommit(path: path, phase: phase) }
        }
        for other in Recipe.Phase.allCases where other != phase {
            if let step = try paths.unfinishedStep(other) { throw RunError.unfinished(path: path, phase: phase, other: other, step: step) }
        }
        if let resumed { try fingerprint.requireSame(as: resumed.manifest.fingerprint) }

        try FileSystem.createDirectory(path)
        try paths.states.removeLeftovers()
        try MetricsFile(paths.metrics).cut(phase: phase, beyond: resumed?.manifest.step ?? -1)
        try FileSystem.write(try recipe.resolvedYAML(), to: paths.recipe)
        self.paths = paths
        self.phase = phase
        self.resumed = resumed
        metrics = try MetricsWriter(
            paths.metrics, events: EventWriter(directory: paths.events(phase), firstStep: (resumed?.manifest.step ?? 0) + 1))
        log = try AppendedFile(paths.log)
    }
}

/// Names in a run directory.
public struct RunPaths: Sendable, Equatable {
    public let run: String

    public init(_ run: String) {
        var trimmed = Substring(run)
        while trimmed.utf8.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.run = String(trimmed)
    }

    public var recipe: String { "\(run)/recipe.resolved.yaml" }
    public var metrics: String { "\(run)/metrics.jsonl" }
    /// TensorBoard's files of a phase.
    public func events(_ phase: Recipe.Phase) -> String { "\(run)/tensorboard/\(phase.rawValue)" }
    public var report: String { "\(run)/report.html" }
    public var log: String { "\(run)/log.txt" }
    public var pruned: String { "\(run)/pruned" }
    public var aligned: String { "\(run)/aligned" }
    public var quantized: String { "\(run)/quantized" }
    /// The adapter in the pruned model's shapes.
    public var prunedAdapter: String { "\(run)/adapter-pruned" }
    /// The adapter that fits the original model.
    public var adapter: String { "\(run)/adapter" }
    public var model: String { "\(run)/model" }
    public var states: StateDirectory { StateDirectory(run: run) }

    /// By what one sees that a phase has begun here; nil if it has not. Earlier phases' results do not count: they are its input.
    func signOfUse(_ phase: Recipe.Phase) throws -> String? {
        guard FilePath.exists(run) else { return nil }
        guard FilePath.isDirectory(run) else { throw FileError.notDirectory(path: run) }
        if let result = results(phase).first(where: FilePath.exists) { return result }
        if let step = try committedStep(phase) { return states.committedPath(step: step) }
        if let step = try MetricsFile(metrics).lastStep(of: phase) { return "metrics up to step \(step) in \(metrics)" }
        return nil
    }

    /// The newest committed update of a phase that has not come to its results.
    func unfinishedStep(_ phase: Recipe.Phase) throws -> Int? {
        results(phase).contains(where: FilePath.exists) ? nil : try committedStep(phase)
    }

    private func results(_ phase: Recipe.Phase) -> [String] {
        switch phase {
        case .align: [aligned]
        case .train: [prunedAdapter, adapter, model]
        }
    }

    private func committedStep(_ phase: Recipe.Phase) throws -> Int? {
        try states.committedSteps().last { try StateManifest(directory: states.committedPath(step: $0)).phase == phase }
    }
}

import LoRAMEngine

/// What can be wrong with a run directory.
public enum RunError: DiagnosedError, Equatable {
    /// The phase has begun there already. `found` says by which sign.
    case inUse(path: String, phase: Recipe.Phase, found: String)
    case noCommit(path: String, phase: Recipe.Phase)

    public var description: String {
        switch self {
        case .inUse(let path, let phase, let found):
            "\(path): expected a run directory without \(phase.rawValue) results, found \(found); continue with --resume, or name another output"
        case .noCommit(let path, let phase):
            "\(path): --resume expected a committed \(phase.rawValue) checkpoint, found none; start without --resume, or with --resume=auto"
        }
    }
}

import LoRAMEngine

/// What can be wrong with a run directory.
public enum RunError: DiagnosedError, Equatable {
    /// The phase has begun there already. `found` says by which sign.
    case inUse(path: String, phase: Recipe.Phase, found: String)
    case noCommit(path: String, phase: Recipe.Phase)
    /// Another phase was cut off there: its commits would go, and what it was to leave is missing.
    case unfinished(path: String, phase: Recipe.Phase, other: Recipe.Phase, step: Int)
    /// Another job is at it.
    case locked(path: String, holder: String)

    public var description: String {
        switch self {
        case .inUse(let path, let phase, let found):
            "\(path): expected a run directory without \(phase.rawValue) results, found \(found); continue with --resume, or name another output"
        case .unfinished(let path, let phase, let other, let step):
            "\(path): \(phase.rawValue) expected \(other.rawValue) to be complete or not begun, found it stopped after update \(step); "
                + "end it with \(other.rawValue) --resume, or name another output"
        case .locked(let path, let holder):
            "\(path): expected to be the only job at this run directory, found \(holder); wait for its end, or name another output"
        case .noCommit(let path, let phase):
            "\(path): --resume expected a committed \(phase.rawValue) checkpoint, found none; start without --resume, or with --resume=auto"
        }
    }

    public var exitCode: ExitStatus {
        // Worth another try a little later.
        if case .locked = self { .failure } else { .badInput }
    }
}

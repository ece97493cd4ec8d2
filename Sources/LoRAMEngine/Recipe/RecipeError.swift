/// What can be wrong with a recipe file or a `--set` override. `place` is `FILE:LINE` or the override.
public enum RecipeError: DiagnosedError, Equatable {
    case unreadable(reason: String)
    case syntax(place: String, problem: String)
    case duplicateKey(key: String, place: String)
    case unknownKey(key: String, nearest: String, place: String)
    case wrongType(key: String, expected: String, found: String, place: String)
    case outOfRange(key: String, expected: String, found: String, place: String)
    case missing(key: String, reason: String)
    case badOverride(text: String, reason: String)
    /// Two keys that do not go together.
    case conflict(keys: String, expected: String, found: String)
    /// A key whose feature this program does not have yet.
    case unsupported(key: String, value: String, supported: String)
    /// A run is continued with a recipe that would give other results.
    case differs(key: String, before: String, now: String, others: Int)

    public var description: String {
        switch self {
        case .unreadable(let reason):
            "recipe: \(reason)"
        case .syntax(let place, let problem):
            "\(place): not valid YAML: \(problem)"
        case .duplicateKey(let key, let place):
            "\(place): key '\(key)' is given twice; keep one"
        case .unknownKey(let key, let nearest, let place):
            "\(place): unknown key '\(key)'; the nearest known key is '\(nearest)'"
        case .wrongType(let key, let expected, let found, let place):
            "\(place): \(key) must be \(expected), found \(found)"
        case .outOfRange(let key, let expected, let found, let place):
            "\(place): \(key) must be \(expected), found \(found)"
        case .missing(let key, let reason):
            "recipe: \(key) is not set; \(reason)"
        case .badOverride(let text, let reason):
            "--set \(text): \(reason)"
        case .conflict(let keys, let expected, let found):
            "recipe: \(keys): expected \(expected), found \(found)"
        case .unsupported(let key, let value, let supported):
            "recipe: \(key): \(value) is not supported by this version; use \(supported)"
        case .differs(let key, let before, let now, let others):
            "cannot resume: \(key) was \(before) and is \(now) now\(others > 0 ? " (and \(others) more keys differ)" : "");"
                + " take the old value, or start anew with another output"
        }
    }

    public var exitCode: ExitStatus {
        switch self {
        case .unknownKey, .missing, .badOverride, .unsupported: .usage
        default: .badInput
        }
    }
}

/// Why a tokenizer cannot be loaded.
public enum TokenizerError: DiagnosedError, Equatable {
    /// Nothing at the path that could be a tokenizer.
    case notFound(path: String, expected: String)
    case unreadable(path: String, reason: String)
    /// A tokenizer of a kind, or with a setting, that this program does not implement.
    case unsupported(path: String, expected: String, found: String)
    /// The bytes are not what the format says.
    case malformed(path: String, offset: Int, expected: String, found: String)
    /// Well-formed, but the contents contradict themselves.
    case inconsistent(path: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .notFound(let path, let expected):
            "no tokenizer at \(path): expected \(expected), found none; name the file or the model's directory"
        case .unreadable(let path, let reason):
            "cannot read the tokenizer \(path): \(reason)"
        case .unsupported(let path, let expected, let found):
            "unsupported tokenizer \(path): expected \(expected), found \(found)"
        case .malformed(let path, let offset, let expected, let found):
            "damaged tokenizer \(path): at byte \(offset) expected \(expected), found \(found); fetch the file again"
        case .inconsistent(let path, let expected, let found):
            "damaged tokenizer \(path): expected \(expected), found \(found)"
        }
    }
}

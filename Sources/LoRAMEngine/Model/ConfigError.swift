/// Why a model's config.json cannot be used, or a model cannot be found.
public enum ConfigError: DiagnosedError, Equatable {
    case notJSON(path: String, JSONError)
    case missing(path: String, key: String, hint: String)
    /// A value of another type or outside of its range.
    case invalid(path: String, key: String, expected: String, found: String)
    /// A valid value that stands for something this program does not compute.
    case unsupported(path: String, key: String, supported: String, found: String)
    /// Two spellings of one setting that disagree.
    case conflicting(path: String, keys: String, first: String, second: String)
    /// Neither a path nor a preset.
    case unknownModel(String, presets: [String])
    case needsSeed(model: String)
    case seedWithWeights(path: String)

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .notJSON(let path, let error): "\(path): \(error)"
        case .missing(let path, let key, let hint): "\(path): expected a value for \(key), found none; \(hint)"
        case .invalid(let path, let key, let expected, let found): "\(path): \(key): expected \(expected), found \(found)"
        case .unsupported(let path, let key, let supported, let found):
            "\(path): \(key): only \(supported) is supported, found \(found)"
        case .conflicting(let path, let keys, let first, let second):
            "\(path): expected \(keys) to agree, found \(first) and \(second); remove one of them"
        case .unknownModel(let name, let presets):
            "model \(name): expected a directory with config.json, a config.json or one of the presets \(presets.joined(separator: ", ")), found none of them"
        case .needsSeed(let model):
            "model \(model): expected weights (*.safetensors) beside config.json, found none; give synthetic_seed for random weights"
        case .seedWithWeights(let path):
            "model \(path): expected no weights where synthetic_seed is given, found some; drop synthetic_seed to use them"
        }
    }
}

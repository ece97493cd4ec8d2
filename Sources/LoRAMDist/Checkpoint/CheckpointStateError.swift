import LoRAMEngine

/// What can be wrong with a saved training state.
public enum CheckpointStateError: DiagnosedError, Equatable {
    /// `checkpoints/step-N` that was not made by a commit, or lost its manifest.
    case noManifest(directory: String)
    case badManifest(path: String, item: String, expected: String, found: String)
    /// A shard that is not there, at a commit or when reading.
    case missingFile(path: String)
    case wrongSize(path: String, expected: Int, found: Int)
    case wrongHash(path: String, expected: String, found: String)
    /// Two shards hold one tensor.
    case duplicateTensor(name: String, first: String, second: String)
    case missingTensor(name: String, directory: String)
    /// A tensor that the model does not have.
    case unexpectedTensor(name: String, directory: String)
    case wrongShape(name: String, path: String, expected: [Int], found: [Int])
    case wrongDType(name: String, path: String, found: DType)
    /// Shard files are not numbered 0, 1, ... once each.
    case wrongShards(directory: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .noManifest(let directory):
            "\(directory): expected \(StateManifest.fileName), found none; this state was never committed or was copied in part: remove it"
        case .badManifest(let path, let item, let expected, let found):
            "\(path): \(item): expected \(expected), found \(found); \(Self.advice)"
        case .missingFile(let path):
            "\(path): expected a file of the training state, found none; \(Self.advice)"
        case .wrongSize(let path, let expected, let found):
            "\(path): expected \(expected) bytes, found \(found); \(Self.advice)"
        case .wrongHash(let path, let expected, let found):
            "\(path): expected SHA-256 \(expected.prefix(16))..., found \(found.prefix(16))...; \(Self.advice)"
        case .duplicateTensor(let name, let first, let second):
            "training state: expected tensor \(name) once, found it in \(first) and in \(second)"
        case .missingTensor(let name, let directory):
            "\(directory): expected tensor \(name), found none; the state belongs to another model or adapter"
        case .unexpectedTensor(let name, let directory):
            "\(directory): found tensor \(name), which the model does not have; the state belongs to another model or adapter"
        case .wrongShape(let name, let path, let expected, let found):
            "\(path): tensor \(name): expected shape \(expected), found \(found); the state belongs to another model or adapter"
        case .wrongDType(let name, let path, let found):
            "\(path): tensor \(name): expected F32, found \(found.rawValue)"
        case .wrongShards(let directory, let expected, let found):
            "\(directory): expected \(expected), found \(found)"
        }
    }

    private static var advice: String { "remove its step directory to go back to the commit before it" }

    public var exitCode: ExitStatus {
        switch self {
        case .duplicateTensor, .wrongShards: .failure
        default: .badInput
        }
    }
}

/// What is wrong with the weights of a checkpoint directory.
public enum CheckpointError: DiagnosedError, Equatable {
    case noWeights(directory: String)
    case badIndex(path: String, expected: String, found: String)
    /// The index names a file that is not there.
    case missingShard(index: String, file: String)
    /// The index says that a file has a tensor, but it has not.
    case notInShard(file: String, tensor: String)
    case missingTensor(directory: String, tensor: String)
    case wrongShape(path: String, tensor: String, expected: [Int], found: [Int])
    case wrongDType(path: String, tensor: String, found: DType)
    /// A weight in 4 bit where its plain values are wanted.
    case quantized(path: String, tensor: String)
    case nonFinite(path: String, tensor: String, element: Int)
    case noSpace(path: String, needed: Int, available: Int)

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .noWeights(let directory):
            "\(directory): expected model.safetensors or model.safetensors.index.json, found neither"
        case .badIndex(let path, let expected, let found): "\(path): expected \(expected), found \(found)"
        case .missingShard(let index, let file): "\(index): expected the file \(file) beside it, found none; fetch it"
        case .notInShard(let file, let tensor):
            "\(file): expected tensor \(tensor), which the index places here, found none; index and files are of different checkpoints"
        case .missingTensor(let directory, let tensor):
            "\(directory): expected tensor \(tensor), as config.json implies, found none"
        case .wrongShape(let path, let tensor, let expected, let found):
            "\(path): tensor \(tensor): expected shape \(expected), as config.json implies, found \(found)"
        case .wrongDType(let path, let tensor, let found):
            "\(path): tensor \(tensor): expected F32, F16 or BF16, found \(found.rawValue)"
        case .quantized(let path, let tensor):
            "\(path): tensor \(tensor): expected F32, F16 or BF16, found NF4; use the checkpoint that was quantized"
        case .nonFinite(let path, let tensor, let element):
            "\(path): tensor \(tensor): expected finite values, found NaN or infinity at element \(element); the weights are broken"
        case .noSpace(let path, let needed, let available):
            "cannot write \(path): expected \(needed) bytes of free space, found \(available); free some or choose another disk"
        }
    }

    public var exitCode: ExitStatus {
        if case .noSpace = self { .failure } else { .badInput }
    }
}

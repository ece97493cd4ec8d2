/// What is wrong with a compressed checkpoint, or with making one.
public enum CompressionError: DiagnosedError, Equatable {
    /// checkpoint.json: something missing, of another kind, or contradictory.
    case badIndex(path: String, item: String, expected: String, found: String)
    /// checkpoint.json is not what was written.
    case changedIndex(path: String)
    case missingFile(index: String, file: String)
    case wrongSize(path: String, expected: Int, found: Int)
    /// `tensor` nil: the file's header.
    case damagedFrame(path: String, tensor: String?, frame: Int, reason: String)
    /// The decoded header tells of other tensors than checkpoint.json.
    case otherTensors(path: String, expected: String, found: String)
    case wrongHash(path: String, expected: String, found: String)
    case noWeights(path: String)
    case noSuchTensor(path: String, tensor: String)
    /// A `base` checkpoint's original is not there, or is not the same.
    case missingBase(path: String, base: String)
    case otherBase(path: String, base: String, item: String, expected: String, found: String)
    case cannotCompress(reason: String)
    case noContext

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .badIndex(let path, let item, let expected, let found):
            "\(path): \(item): expected \(expected), found \(found); pack the checkpoint again"
        case .changedIndex(let path):
            "\(path): expected the contents that index_sha256 names, found others; the file was changed, fetch it again"
        case .missingFile(let index, let file): "\(index): expected the file \(file) beside it, found none; fetch it"
        case .wrongSize(let path, let expected, let found):
            "\(path): expected \(expected) bytes, found \(found); the file is cut short or was changed, fetch it again"
        case .damagedFrame(let path, let tensor, let frame, let reason):
            "\(path): \(tensor.map { "tensor \($0)" } ?? "header"), frame \(frame): expected the bytes that were packed, found damage (\(reason)); fetch the file again"
        case .otherTensors(let path, let expected, let found):
            "\(path): expected \(expected) as checkpoint.json says, found \(found) in the file's header; fetch both again"
        case .wrongHash(let path, let expected, let found):
            "\(path): expected SHA-256 \(expected.prefix(16))..., found \(found.prefix(16))...; the contents were changed, fetch the file again"
        case .noWeights(let path): "\(path): expected safetensors files or checkpoint.json, found neither"
        case .noSuchTensor(let path, let tensor): "\(path): expected a tensor \(tensor), found none of that name; inspect lists the names"
        case .missingBase(let path, let base):
            "\(path): expected the original model at \(base), found none; put it there, or merge again with another --compress"
        case .otherBase(let path, let base, let item, let expected, let found):
            "\(path): expected the original model at \(base) with \(item) \(expected), found \(found); restore the model that was merged"
        case .cannotCompress(let reason): "cannot compress: expected zstd to succeed, found \(reason)"
        case .noContext: "cannot compress: expected memory and zstd 1.4 or later, found too little of one of them"
        }
    }

    public var exitCode: ExitStatus {
        switch self {
        case .cannotCompress, .noContext: .failure
        case .noSuchTensor: .usage
        default: .badInput
        }
    }
}

/// What is wrong with a safetensors file, or with the use of one.
public enum SafetensorsError: DiagnosedError, Equatable {
    case tooShort(path: String, byteCount: Int)
    /// `limit` is the format's cap on headers.
    case headerTooLong(path: String, byteCount: UInt64, limit: Int)
    case headerBeyondFile(path: String, byteCount: UInt64, fileByteCount: Int)
    case headerNotJSON(path: String, JSONError)
    /// A member of the header that is missing, of another kind, or unknown.
    case malformedHeader(path: String, item: String, expected: String, found: String)
    case unknownDType(path: String, tensor: String, found: String)
    /// The number of bytes of a shape does not fit 63 bits.
    case shapeTooLarge(path: String, tensor: String, shape: [Int])
    case wrongByteCount(path: String, tensor: String, dtype: DType, shape: [Int], expected: Int, found: Int)
    case beyondFile(path: String, tensor: String, end: Int, dataByteCount: Int)
    case overlap(path: String, tensor: String, offset: Int, end: Int)
    /// Bytes of the data section that belong to no tensor.
    case gap(path: String, start: Int, end: Int)
    case duplicateName(path: String, tensor: String)
    case missingTensor(path: String, tensor: String)
    case notFloatingPoint(path: String, tensor: String, dtype: DType)
    /// A writer got bytes for another tensor than the next one, or too many, or was finished too early.
    case writtenOutOfOrder(path: String, expected: String, found: String)

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .tooShort(let path, let count):
            "\(path): not a safetensors file: expected at least 8 bytes, found \(count); the file is cut short or of another kind"
        case .headerTooLong(let path, let count, let limit):
            "\(path): not a safetensors file: expected a header of at most \(limit) bytes, found \(count)"
        case .headerBeyondFile(let path, let count, let fileCount):
            "\(path): not a whole safetensors file: the header takes \(count) bytes, found \(fileCount) bytes in the file; fetch it again"
        case .headerNotJSON(let path, let error): "\(path): safetensors header: \(error)"
        case .malformedHeader(let path, let item, let expected, let found):
            "\(path): safetensors header: \(item): expected \(expected), found \(found)"
        case .unknownDType(let path, let tensor, let found):
            "\(path): tensor \(tensor): expected one of the types \(DType.allCases.map(\.rawValue).joined(separator: ", ")), found \(found)"
        case .shapeTooLarge(let path, let tensor, let shape):
            "\(path): tensor \(tensor): expected a shape whose bytes can be counted, found \(shape)"
        case .wrongByteCount(let path, let tensor, let dtype, let shape, let expected, let found):
            "\(path): tensor \(tensor): expected \(expected) bytes for \(dtype.rawValue) \(shape), found \(found)"
        case .beyondFile(let path, let tensor, let end, let dataCount):
            "\(path): tensor \(tensor): expected an end within the file's \(dataCount) bytes of data, found \(end); the file is cut short, fetch it again"
        case .overlap(let path, let tensor, let offset, let end):
            "\(path): tensor \(tensor): expected a start at or after byte \(end), where another tensor ends, found \(offset)"
        case .gap(let path, let start, let end):
            "\(path): expected tensors to cover all the data, found bytes \(start) to \(end) in none of them"
        case .duplicateName(let path, let tensor): "\(path): tensor \(tensor): expected every name once, found it again"
        case .missingTensor(let path, let tensor): "\(path): expected a tensor \(tensor), found none of that name"
        case .notFloatingPoint(let path, let tensor, let dtype):
            "\(path): tensor \(tensor): expected F32, F16, BF16 or F64, found \(dtype.rawValue)"
        case .writtenOutOfOrder(let path, let expected, let found): "\(path): writing: expected \(expected), found \(found)"
        }
    }

    public var exitCode: ExitStatus {
        if case .writtenOutOfOrder = self { .failure } else { .badInput }
    }
}

/// What is wrong with an NF4 tensor, or with a model that is to be quantized.
public enum QuantizationError: DiagnosedError, Equatable {
    /// A quantized weight without one of the tensors that describe it.
    case missingPart(path: String, tensor: String, part: String)
    /// A tensor of another type or length than the weight's shape asks for.
    case wrongPart(path: String, tensor: String, expected: String, found: String)
    /// The quantization state, JSON in a tensor of bytes.
    case badState(path: String, tensor: String, item: String, expected: String, found: String)
    /// The 16 values are not those of NF4.
    case foreignMap(path: String, tensor: String, index: Int, expected: Float, found: Float)
    /// Block scales that are NaN or infinite, counted from 0.
    case nonFiniteScale(path: String, tensor: String, block: Int)
    case alreadyQuantized(path: String)
    /// Finite values whose mean scale is not.
    case scalesOverflow(path: String, tensor: String)

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .missingPart(let path, let tensor, let part):
            "\(path): quantized tensor \(tensor): expected a tensor \(part) with it, found none; the checkpoint is incomplete"
        case .wrongPart(let path, let tensor, let expected, let found): "\(path): tensor \(tensor): expected \(expected), found \(found)"
        case .badState(let path, let tensor, let item, let expected, let found):
            "\(path): quantization state of \(tensor): \(item): expected \(expected), found \(found)"
        case .foreignMap(let path, let tensor, let index, let expected, let found):
            "\(path): tensor \(tensor): expected the values of NF4, of which number \(index) is \(expected), found \(found)"
        case .nonFiniteScale(let path, let tensor, let block):
            "\(path): quantized tensor \(tensor): expected finite scales, found NaN or infinity at block \(block); the weights are broken"
        case .alreadyQuantized(let path):
            "\(path): expected F32, F16 or BF16 linear layers, found a quantized checkpoint; use the one it was made from"
        case .scalesOverflow(let path, let tensor):
            "\(path): tensor \(tensor): expected block maxima whose mean is finite, found larger ones; set quantization.double=false"
        }
    }
}

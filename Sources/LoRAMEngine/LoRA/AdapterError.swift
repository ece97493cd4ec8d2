/// Why a PEFT adapter directory cannot be used here.
public enum AdapterError: DiagnosedError, Equatable {
    case notJSON(path: String, JSONError)
    case missing(path: String, key: String)
    case invalid(path: String, key: String, expected: String, found: String)
    /// A feature of PEFT that changes what the adapter computes and that this program has not.
    case unsupported(path: String, key: String, supported: String, found: String)
    /// A tensor that belongs to no LoRA layer of a Llama.
    case unknownTensor(path: String, tensor: String)
    /// One of a pair without the other, or a listed target without tensors.
    case missingTensor(path: String, tensor: String)
    case wrongShape(path: String, tensor: String, expected: String, found: [Int])
    case nonFinite(path: String, tensor: String, element: Int)
    case noTensors(path: String)

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .notJSON(let path, let error): "\(path): \(error)"
        case .missing(let path, let key): "\(path): expected a value for \(key), found none"
        case .invalid(let path, let key, let expected, let found): "\(path): \(key): expected \(expected), found \(found)"
        case .unsupported(let path, let key, let supported, let found):
            "\(path): \(key): only \(supported) is supported, found \(found)"
        case .unknownTensor(let path, let tensor):
            "\(path): expected lora_A and lora_B of \(LinearSite.allCases.map(\.rawValue).joined(separator: ", ")) only, found \(tensor)"
        case .missingTensor(let path, let tensor): "\(path): expected tensor \(tensor), found none"
        case .wrongShape(let path, let tensor, let expected, let found):
            "\(path): tensor \(tensor): expected shape \(expected), found \(found)"
        case .nonFinite(let path, let tensor, let element):
            "\(path): tensor \(tensor): expected finite values, found NaN or infinity at element \(element)"
        case .noTensors(let path): "\(path): expected lora_A and lora_B tensors, found none"
        }
    }
}

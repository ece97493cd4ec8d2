/// What a user asked to be generated that cannot be. Prompts are counted from 1.
public enum GenerationError: DiagnosedError, Equatable {
    case badSetting(name: String, expected: String, found: String)
    case emptyPrompt(number: Int)
    case tooLong(number: Int, prompt: Int, maxTokens: Int, positions: Int)
    case tokenOutOfRange(number: Int, token: Int, vocabularySize: Int)
    case needsTokenizer(model: String)
    case badRecord(path: String, line: Int, expected: String, found: String)
    /// The model's logits are NaN or all infinite.
    case notFinite(token: Int)

    public var description: String {
        switch self {
        case .badSetting(let name, let expected, let found): "--\(name): expected \(expected), found \(found)"
        case .emptyPrompt(let number):
            "prompt \(number): expected at least one token to go on from, found none; write a text, or let the tokenizer put its BOS (--bos auto)"
        case .tooLong(let number, let prompt, let maxTokens, let positions):
            "prompt \(number): expected at most \(positions) tokens with what follows (the model's max_position_embeddings), found \(prompt) + \(maxTokens); shorten the prompt or lower --max-tokens"
        case .tokenOutOfRange(let number, let token, let size):
            "prompt \(number): expected token ids in 0 ..< \(size), found \(token); the tokenizer or the data belong to another model"
        case .needsTokenizer(let model):
            "cannot generate with \(model): expected a tokenizer beside it, found none; put tokenizer.json or tokenizer.model there"
        case .badRecord(let path, let line, let expected, let found): "\(path):\(line): expected \(expected), found \(found)".singleLine
        case .notFinite(let token):
            "cannot choose token \(token) of a completion: expected finite logits, found none; the weights or the adapter are damaged, or bf16 overflows (--set compute.type=f32)"
        }
    }

    public var exitCode: ExitStatus {
        switch self {
        case .badSetting: .usage
        case .emptyPrompt, .tooLong, .tokenOutOfRange, .needsTokenizer, .badRecord: .badInput
        case .notFinite: .failure
        }
    }
}

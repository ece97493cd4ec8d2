/// Why a dataset cannot be used. Lines and records are counted from 1.
public enum DatasetError: DiagnosedError, Equatable {
    case invalidSetting(name: String, expected: String, found: String)
    case unreadable(path: String, reason: String)
    /// Nothing in the file at all, or no document in it.
    case empty(path: String, expected: String)
    case compressed(path: String)
    /// `path` is nil where a recipe names the format.
    case unsupportedFormat(path: String?, found: String)
    case unsupportedTemplate(name: String)
    /// The template's own tokens are no tokens of the vocabulary.
    case templateNeedsToken(template: String, token: String)
    /// Text, but no tokenizer to read it with.
    case needsTokenizer(path: String, format: DatasetFormat)
    case invalidUTF8(path: String, line: Int)
    case invalidJSON(path: String, line: Int, reason: String)
    case missingKey(path: String, line: Int, key: String, format: DatasetFormat)
    case wrongType(path: String, line: Int, key: String, expected: String, found: String)
    case tooLarge(path: String, line: Int, byteCount: Int, limit: Int)
    /// `index` counts from 0 within the record.
    case tokenOutOfRange(path: String, line: Int, key: String, index: Int, token: Int, vocabularySize: Int)
    /// The tokenizer made a token that the model does not have.
    case tokenizerMismatch(path: String, line: Int, token: Int, vocabularySize: Int)
    case labelCount(path: String, line: Int, expected: Int, found: Int)
    /// `input_ids` data are never cut.
    case longerThanWindow(path: String, line: Int, count: Int, length: Int)
    case noLabels(path: String, line: Int)
    /// Every record was dropped.
    case noSamples(path: String, recordCount: Int, length: Int)

    public var description: String {
        switch self {
        case .invalidSetting(let name, let expected, let found):
            "invalid \(name): expected \(expected), found \(found)"
        case .unreadable(let path, let reason):
            "cannot read the dataset \(path): \(reason)"
        case .empty(let path, let expected):
            "empty dataset \(path): expected \(expected), found none"
        case .compressed(let path):
            "unsupported dataset \(path): expected plain text, .gz or .zst, found another compression; decompress it first"
        case .unsupportedFormat(let path, let found):
            "unsupported dataset format\(path.map { " in \($0)" } ?? ""): expected \(DatasetFormat.supportedNames), found \(found)"
        case .unsupportedTemplate(let name):
            "unsupported template: expected \(PromptTemplate.supportedNames), found '\(name)'"
        case .templateNeedsToken(let template, let token):
            "cannot use the template \(template): expected the token \(token) in the vocabulary, found none; choose a template of this tokenizer's family"
        case .needsTokenizer(let path, let format):
            "cannot read the dataset \(path): format \(format.rawValue) needs a tokenizer, found none; put the tokenizer.json or tokenizer.model into the model's directory"
        case .invalidUTF8(let path, let line):
            "\(path):\(line): expected UTF-8 text, found bytes that are not; convert the file"
        case .invalidJSON(let path, let line, let reason):
            "\(path):\(line): \(reason)"
        case .missingKey(let path, let line, let key, let format):
            "\(path):\(line): expected the key '\(key)' (format \(format.rawValue)), found a record without it"
        case .wrongType(let path, let line, let key, let expected, let found):
            "\(path):\(line): expected \(expected)\(key.isEmpty ? "" : " in '\(key)'"), found \(found)"
        case .tooLarge(let path, let line, let byteCount, let limit):
            "\(path):\(line): expected stretches without a break of at most \(limit) bytes, found one of \(byteCount); split the document"
        case .tokenOutOfRange(let path, let line, let key, let index, let token, let vocabularySize):
            "\(path):\(line): expected token ids in 0 ..< \(vocabularySize), found \(token) in '\(key)' at index \(index); the data are for another vocabulary"
        case .tokenizerMismatch(let path, let line, let token, let vocabularySize):
            "\(path):\(line): expected token ids in 0 ..< \(vocabularySize), found \(token) made by the tokenizer; it belongs to another model"
        case .labelCount(let path, let line, let expected, let found):
            "\(path):\(line): expected \(expected) labels, one for each token, found \(found)"
        case .longerThanWindow(let path, let line, let count, let length):
            "\(path):\(line): expected at most \(length) tokens (the window), found \(count); input_ids are never cut: raise data.length"
        case .noLabels(let path, let line):
            "\(path):\(line): expected at least one token to predict, found none"
        case .noSamples(let path, let recordCount, let length):
            "no sample in \(path): expected text to predict within \(length) tokens, found none in \(recordCount) records; raise data.length"
        }
    }

    /// Text from a file as one short line.
    static func quoted(_ text: String) -> String {
        let line = text.debugDescription
        return line.count <= 60 ? line : line.prefix(57) + "...\""
    }
}

import Foundation

/// Finds out what kind of tokenizer a path holds and loads it.
public enum TokenizerLoader {
    /// What `load` understands, for messages.
    public static let supported = "a SentencePiece BPE model (tokenizer.model)"
    /// The largest vocabularies in use are some megabytes; anything of this size is another file.
    static let maximumFileBytes = 1 << 28

    /// - Parameter path: a tokenizer file, or a directory (a Hugging Face model's) that holds one.
    /// - Throws: `TokenizerError` if there is none, it is of another kind, or it is damaged.
    public static func load(path: String) throws -> any Tokenizer {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw TokenizerError.notFound(path: path, expected: supported)
        }
        let file = isDirectory.boolValue ? try tokenizerFile(inDirectory: path) : path
        let bytes = try contents(of: file)
        if (file as NSString).lastPathComponent.hasSuffix(".json") || bytes.first == UInt8(ascii: "{") {
            throw TokenizerError.unsupported(path: file, expected: supported, found: "a Hugging Face tokenizer.json")
        }
        if isTiktokenVocabulary(bytes) {
            throw TokenizerError.unsupported(path: file, expected: supported, found: "a tiktoken vocabulary (Llama 3)")
        }
        return try SentencePieceTokenizer(bytes: bytes, path: file)
    }

    private static func tokenizerFile(inDirectory directory: String) throws -> String {
        func path(_ name: String) -> String { (directory as NSString).appendingPathComponent(name) }
        let model = path("tokenizer.model")
        if FileManager.default.fileExists(atPath: model) { return model }
        let json = path("tokenizer.json")
        if FileManager.default.fileExists(atPath: json) {
            throw TokenizerError.unsupported(path: json, expected: supported, found: "only a Hugging Face tokenizer.json")
        }
        throw TokenizerError.notFound(path: directory, expected: supported)
    }

    private static func contents(of path: String) throws -> [UInt8] {
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: (path as NSString).resolvingSymlinksInPath)
            guard attributes[.type] as? FileAttributeType == .typeRegular else {
                throw TokenizerError.unreadable(path: path, reason: "expected a regular file, found another kind")
            }
            let size = (attributes[.size] as? NSNumber)?.intValue ?? 0
            guard size > 0 else { throw TokenizerError.unreadable(path: path, reason: "expected a tokenizer, found an empty file") }
            guard size <= maximumFileBytes else {
                throw TokenizerError.unreadable(path: path, reason: "expected at most \(maximumFileBytes) bytes, found \(size)")
            }
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch let error as TokenizerError {
            throw error
        } catch {
            let reason = (error as NSError).localizedDescription.split(whereSeparator: \.isNewline).joined(separator: " ")
            throw TokenizerError.unreadable(path: path, reason: reason)
        }
    }

    /// Lines of `base64 rank`, as in Llama 3's tokenizer.model. A SentencePiece model starts with byte 0x0A instead.
    private static func isTiktokenVocabulary(_ bytes: [UInt8]) -> Bool {
        let line = bytes.prefix(4096).prefix { $0 != UInt8(ascii: "\n") }
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return false }
        let isDigit: (UInt8) -> Bool = { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        let isBase64: (UInt8) -> Bool = {
            isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || $0 == UInt8(ascii: "+")
                || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "=")
        }
        return parts[0].allSatisfy(isBase64) && parts[1].allSatisfy(isDigit)
    }
}

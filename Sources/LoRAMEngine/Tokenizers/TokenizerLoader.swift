import Foundation

/// Finds out what kind of tokenizer a path holds and loads it.
public enum TokenizerLoader {
    /// What `load` understands, for messages.
    public static let supported = "a tokenizer.json with a BPE model, a SentencePiece BPE model or a tiktoken vocabulary (tokenizer.model)"
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
            return try BPETokenizer(TokenizerJSON(bytes: bytes, path: file).definition, path: file)
        }
        if TiktokenFile.isVocabulary(bytes) { return try BPETokenizer(TiktokenFile.definition(bytes, path: file), path: file) }
        return try SentencePieceTokenizer(bytes: bytes, path: file)
    }

    /// tokenizer.json first: tokens that were added to a model stand there alone.
    private static func tokenizerFile(inDirectory directory: String) throws -> String {
        let candidates = fileNames.map { (directory as NSString).appendingPathComponent($0) }
        guard let file = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw TokenizerError.notFound(path: directory, expected: supported)
        }
        return file
    }

    /// A hash of what `load` reads: equal for tokenizers that give the same ids.
    ///
    /// - Throws: `TokenizerError`, `FileError`
    public static func contentHash(path: String) throws -> String {
        let file = FilePath.isDirectory(path) ? try tokenizerFile(inDirectory: path) : path
        let settings = "\(FilePath.parent(file))/tokenizer_config.json"
        let files = [file] + (FilePath.isRegularFile(settings) ? [settings] : [])
        return try ContentHash.sha256(files.map { try ContentHash.sha256(file: $0) }.joined(separator: " "))
    }

    /// The files of a model's directory that hold its tokenizer, best first.
    public static let fileNames = ["tokenizer.json", "tokenizer.model"]

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
}

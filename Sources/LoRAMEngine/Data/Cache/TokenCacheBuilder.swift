/// Makes the cache entry of one dataset; the ranks of a job share the work.
public struct TokenCacheBuilder: Sendable {
    /// What makes tokens of a text, beside the text.
    public struct Options: Sendable {
        public var cache: TokenCache
        public var tokenizer: any Tokenizer
        /// Hash of the tokenizer's files.
        public var tokenizerHash: String
        public var vocabularySize: Int
        public var template: PromptTemplate
        public var answersOnly: Bool
        public var bosTokenID: Int32?
        public var eosTokenID: Int32?

        public init(
            cache: TokenCache, tokenizer: any Tokenizer, tokenizerHash: String, vocabularySize: Int, template: PromptTemplate, answersOnly: Bool,
            bosTokenID: Int32?, eosTokenID: Int32?
        ) {
            self.cache = cache
            self.tokenizer = tokenizer
            self.tokenizerHash = tokenizerHash
            self.vocabularySize = vocabularySize
            self.template = template
            self.answersOnly = answersOnly
            self.bosTokenID = bosTokenID
            self.eosTokenID = eosTokenID
        }
    }

    /// Bytes that are hashed in one piece: the hash of the whole does not depend on how many ranks share them out.
    private static let blockBytes = 64 << 20

    public let path: String
    private let format: DatasetFormat?
    private let options: Options

    public init(path: String, format: DatasetFormat?, options: Options) {
        self.path = path
        self.format = format
        self.options = options
    }

    private func file() throws -> MappedFile {
        do { return try MappedFile(path: path) } catch { throw DatasetError.unreadable(path: path, reason: "\(error)") }
    }

    /// Hashes of this rank's blocks, in their order: every `size`-th from `rank` on.
    public func hashes(rank: Int, of size: Int) throws -> [String] {
        try file().withBytes { bytes in
            stride(from: rank * Self.blockBytes, to: bytes.count, by: size * Self.blockBytes).map { start in
                ContentHash.sha256(UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + Self.blockBytes, bytes.count)]))
            }
        }
    }

    /// - Parameter hashes: what `hashes` gave on each rank, in rank order.
    /// - Throws: `DatasetError` if the file's format cannot be found out.
    public func entry(hashes: [[String]]) throws -> Entry {
        let count = hashes.reduce(0) { $0 + $1.count }
        let ordered = (0..<count).map { hashes[$0 % hashes.count][$0 / hashes.count] }
        let file = try DatasetFile(path: path, format: format)
        let format = try format ?? (file.layout == .plainText ? .plain : DatasetFormat.detect(file.object(0), path: path))
        let frame = SequenceFrame(bos: options.bosTokenID, eos: options.eosTokenID, addsBOS: true, addsEOS: true)
        let identity = TokenCache.Identity(
            content: ContentHash.sha256(ordered.joined(separator: "\n")), tokenizer: "\(options.tokenizerHash) \(options.vocabularySize)", format: format,
            template: options.template, answersOnly: options.answersOnly, frame: frame)
        return Entry(path: options.cache.path(identity), file: file, format: format, identity: identity, options: options)
    }

    public struct Entry: Sendable {
        /// The entry's directory.
        public let path: String
        let file: DatasetFile
        public let format: DatasetFormat
        let identity: TokenCache.Identity
        let options: Options

        /// Token ids are no text: they are read where they are.
        public var isUseful: Bool { format != .inputIDs }
        /// nil until it is complete.
        public var parts: [String]? { options.cache.parts(identity) }

        /// Makes tokens of this rank's share of the records.
        ///
        /// - Throws: `DatasetError`, `FileError`
        public func writePart(rank: Int, of size: Int) throws {
            try FileSystem.createDirectory(path)
            let (source, _) = try ItemSourceFactory.open(
                file, format: format,
                .init(
                    template: options.template, answersOnly: options.answersOnly, length: .max, frame: identity.frame, tokenizer: options.tokenizer,
                    vocabularySize: options.vocabularySize, packing: false, indexesDocuments: false))
            let count = source.itemCount
            try TokenCachePart.write(source, items: count * rank / size..<count * (rank + 1) / size, to: TokenCache.partPath(path, rank, of: size))
        }

        public func commit(partCount: Int) throws { try options.cache.commit(identity, partCount: partCount) }
    }
}

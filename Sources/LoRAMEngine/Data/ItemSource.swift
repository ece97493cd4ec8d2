/// A dataset as items: one record or document each, made into tokens when asked for.
///
/// Nothing is kept between calls, so any rank and thread may ask for any item.
package protocol ItemSource: Sendable {
    var itemCount: Int { get }
    /// The file, for messages.
    var path: String { get }

    /// Replaces `sequence` by the tokens `range` of an item, clamped to what it has, framing included.
    ///
    /// - Throws: `DatasetError`
    func load(_ item: Int, range: Range<Int>, into sequence: inout TokenSequence) throws

    /// What an index over windows of `limit` tokens needs to know about an item.
    ///
    /// - Throws: `DatasetError` if the record is not what its format says.
    func summary(of item: Int, limit: Int) throws -> ItemSummary

    /// Like `summary`, with the exact count.
    func measure(_ item: Int) throws -> ItemSummary

    /// Calls `body` with the whole item, a stretch of tokens at a time.
    func forEachPart(of item: Int, _ body: (TokenSequence) throws -> Void) throws

    /// Where each item starts in the sequence of all tokens, and the end of the last, if the items are documents that may be read
    /// from the middle.
    var documentStarts: [Int]? { get }
}

extension ItemSource {
    package var documentStarts: [Int]? { nil }

    package func forEachPart(of item: Int, _ body: (TokenSequence) throws -> Void) throws {
        var sequence = TokenSequence()
        try load(item, range: 0..<Int.max, into: &sequence)
        try body(sequence)
    }
}

package struct ItemSummary: Sendable, Equatable {
    /// Tokens; nil if all that is known is that they fit the limit.
    package var count: Int?
    package var exceedsLimit: Bool
    /// Position of the first token that carries a label, whether or not something comes before it to predict it from; nil if none
    /// does.
    package var firstTarget: Int?

    /// Whether the first `limit` tokens predict anything.
    package func hasTarget(limit: Int) -> Bool {
        guard let firstTarget else { return false }
        return max(firstTarget, 1) < min(count ?? limit, limit)
    }
}

/// Opens datasets: finds the format and builds the matching item source.
package enum ItemSourceFactory {
    package struct Options: Sendable {
        var template: PromptTemplate
        var answersOnly: Bool
        /// The longest record that `input_ids` may have.
        var length: Int
        var frame: SequenceFrame
        var tokenizer: (any Tokenizer)?
        var vocabularySize: Int
        /// JSON documents are going to be read from the middle, not only from their start. Those of plain text files always are.
        var packing: Bool
        /// Whoever reads every item once, from its start, needs no index.
        var indexesDocuments = true
    }

    /// - Parameter format: nil to find out.
    /// - Throws: `DatasetError`
    package static func open(path: String, format: DatasetFormat?, _ options: Options) throws -> (source: any ItemSource, format: DatasetFormat) {
        try open(DatasetFile(path: path, format: format), format: format, options)
    }

    static func open(_ file: DatasetFile, format: DatasetFormat?, _ options: Options) throws -> (source: any ItemSource, format: DatasetFormat) {
        let path = file.path
        let format = try format ?? (file.layout == .plainText ? .plain : DatasetFormat.detect(file.object(0), path: path))
        if format == .inputIDs {
            return (TokenItems(file: file, length: options.length, vocabularySize: options.vocabularySize), format)
        }
        guard let tokenizer = options.tokenizer else { throw DatasetError.needsTokenizer(path: path, format: format) }
        let encoder = DocumentEncoder(tokenizer: tokenizer, frame: options.frame, vocabularySize: options.vocabularySize)
        switch format {
        case .alpaca, .conversations, .messages, .openorca, .prompt:
            try options.template.check(tokenizer)
            return (
                InstructionItems(
                    file: file, format: format, encoder: encoder, template: options.template, answersOnly: options.answersOnly), format
            )
        case .text, .plain, .inputIDs:
            var items = DocumentItems(file: file, encoder: encoder)
            if options.indexesDocuments, options.packing || format == .plain { try items.buildIndex() }
            return (items, format)
        }
    }
}

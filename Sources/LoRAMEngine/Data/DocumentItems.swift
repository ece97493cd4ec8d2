/// `text` records and plain text files: each item is a document whose every token is predicted.
package struct DocumentItems: ItemSource {
    private let file: DatasetFile
    private let encoder: DocumentEncoder
    /// Blocks of the documents that have more than one.
    private var indexes: [Int: DocumentEncoder.Index] = [:]
    /// Where each document starts in the sequence of all tokens, and the end of the last; empty until the index is built.
    package private(set) var tokenStarts: [Int] = []

    package init(file: DatasetFile, encoder: DocumentEncoder) {
        self.file = file
        self.encoder = encoder
    }

    package var itemCount: Int { file.recordCount }
    package var path: String { file.path }
    package var hasIndex: Bool { !tokenStarts.isEmpty }
    package var documentStarts: [Int]? { hasIndex ? tokenStarts : nil }

    /// A block of text at a time, however long the document is.
    package func forEachPart(of item: Int, _ body: (TokenSequence) throws -> Void) throws {
        try withText(item) { text in
            guard !text.isEmpty else { return }
            var sequence = TokenSequence()
            try encoder.forEachPart(text, origin(item)) { ids in
                sequence.ids = ids
                sequence.labels = ids
                try body(sequence)
            }
        }
    }

    /// Encodes everything once, to know each document's length and to be able to read long ones from the middle.
    ///
    /// - Throws: `DatasetError`
    package mutating func buildIndex() throws {
        var starts = [0]
        starts.reserveCapacity(itemCount + 1)
        var scratch: [Int32] = []
        for item in 0..<itemCount {
            let index = try withText(item) { try encoder.index($0, origin(item), scratch: &scratch) }
            if index.blockStarts.count > 1 { indexes[item] = index }
            // An empty text is no document: it gets no BOS and EOS.
            starts.append(starts[item] + (index.blockStarts.isEmpty ? 0 : encoder.count(index)))
        }
        tokenStarts = starts
    }

    package func load(_ item: Int, range: Range<Int>, into sequence: inout TokenSequence) throws {
        sequence.removeAll()
        try withText(item) { text in
            guard !text.isEmpty else { return }
            if let index = indexes[item] {
                try encoder.encode(text, range: range, index, origin(item), into: &sequence.ids)
            } else {
                try encoder.encode(text, limit: range.upperBound, origin(item), into: &sequence.ids)
            }
        }
        sequence.labels.append(contentsOf: sequence.ids)
        if indexes[item] == nil { sequence.keep(range) }
    }

    package func summary(of item: Int, limit: Int) throws -> ItemSummary {
        if hasIndex { return try summary(count: measure(item).count ?? 0, limit: limit) }
        return try withText(item) { text in
            guard !text.isEmpty else { return summary(count: 0, limit: limit) }
            let bound = encoder.tokenizer.maximumTokenCount(utf8Count: text.count) + encoder.frame.maximumCount
            if bound <= limit, encoder.frame.alwaysHasTarget, encoder.tokenizer.vocabularySize <= encoder.vocabularySize {
                return ItemSummary(count: nil, exceedsLimit: false, firstTarget: 0)
            }
            var ids: [Int32] = []
            try encoder.encode(text, limit: limit + 1, origin(item), into: &ids)
            return summary(count: ids.count, limit: limit)
        }
    }

    package func measure(_ item: Int) throws -> ItemSummary {
        if hasIndex {
            let count = tokenStarts[item + 1] - tokenStarts[item]
            return ItemSummary(count: count, exceedsLimit: false, firstTarget: count > 0 ? 0 : nil)
        }
        var scratch: [Int32] = []
        let index = try withText(item) { try encoder.index($0, origin(item), scratch: &scratch) }
        return summary(count: index.blockStarts.isEmpty ? 0 : encoder.count(index), limit: .max)
    }

    private func summary(count: Int, limit: Int) -> ItemSummary {
        // Encoding stops soon after the limit: beyond it the count is not the document's.
        ItemSummary(
            count: count > limit ? nil : count, exceedsLimit: count > limit, firstTarget: count > 0 ? 0 : nil)
    }

    private func origin(_ item: Int) -> DocumentEncoder.Origin {
        DocumentEncoder.Origin(file: file, record: item)
    }

    /// - Throws: `DatasetError` if a JSON record has no `text`, and what `body` throws.
    private func withText<Result>(_ item: Int, _ body: (UnsafeBufferPointer<UInt8>) throws -> Result) throws -> Result {
        if file.layout == .plainText { return try body(file.bytes(of: item)) }
        var text = try RecordReader(file: file, record: item, format: .text).string("text")
        return try text.withUTF8(body)
    }
}

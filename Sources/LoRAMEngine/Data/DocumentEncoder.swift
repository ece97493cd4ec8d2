/// Makes documents of any length into tokens, a block at a time, so that one can be read from the middle and none needs memory in
/// proportion to its length.
///
/// Strings of special tokens in a text become these tokens, as with Hugging Face's tokenizers: datasets that were rendered by
/// somebody's template hold them. BOS and EOS that a text brings itself are not doubled.
package struct DocumentEncoder: Sendable {
    /// Blocks of a document: where each starts in the text and in the text's tokens.
    package struct Index: Sendable, Equatable {
        package var blockStarts: [Int] = []
        package var tokenStarts: [Int] = []
        /// Tokens of the text alone, without a BOS that it starts with.
        package var bodyCount = 0
        package var startsWithBOS = false
        package var endsWithEOS = false
    }

    package let tokenizer: any Tokenizer
    package let frame: SequenceFrame
    package let vocabularySize: Int

    package init(tokenizer: any Tokenizer, frame: SequenceFrame, vocabularySize: Int) {
        self.tokenizer = tokenizer
        self.frame = frame
        self.vocabularySize = vocabularySize
    }

    /// Long enough that cutting costs nothing, short enough that reading one window encodes little more than the window.
    package static let blockBytes = 4096
    /// What `Tokenizer.encode` takes at once.
    package static let maximumStretchBytes = (1 << 29) - 1

    /// Where in a file a document is, for errors.
    package struct Origin {
        var file: DatasetFile
        var record: Int
        var line: Int { file.line(of: record) }
    }

    /// Encodes all of `text`, framed, or so much of it that at least `limit` tokens come out.
    ///
    /// - Throws: `DatasetError`
    package func encode(_ text: UnsafeBufferPointer<UInt8>, limit: Int = .max, _ origin: Origin, into ids: inout [Int32]) throws {
        ids.removeAll(keepingCapacity: true)
        if frame.addsBOS, let bos = frame.bos { ids.append(bos) }
        let bodyStart = ids.count
        var position = 0
        while position < text.count, ids.count < limit {
            let first = ids.count
            position = try encodeBlock(text, at: position, origin, into: &ids)
            // Not after the loop: the limit must be reached without this token.
            if first == bodyStart, ids.count > bodyStart, ids[bodyStart] == frame.bos { ids.remove(at: bodyStart) }
        }
        if position == text.count, frame.addsEOS, let eos = frame.eos, ids.count == bodyStart || ids.last != eos { ids.append(eos) }
    }

    /// Encodes all of `text`, framed, and hands over the ids of a block at a time.
    ///
    /// - Throws: `DatasetError`; what `body` throws.
    package func forEachPart(_ text: UnsafeBufferPointer<UInt8>, _ origin: Origin, _ body: ([Int32]) throws -> Void) throws {
        var ids: [Int32] = []
        if frame.addsBOS, let bos = frame.bos { ids.append(bos) }
        var isStart = true
        var last: Int32?
        var position = 0
        while position < text.count {
            let first = ids.count
            position = try encodeBlock(text, at: position, origin, into: &ids)
            if isStart, ids.count > first {
                isStart = false
                if ids[first] == frame.bos { ids.remove(at: first) }
            }
            if ids.count > first { last = ids[ids.count - 1] }
            try body(ids)
            ids.removeAll(keepingCapacity: true)
        }
        if frame.addsEOS, let eos = frame.eos, last != eos { try body([eos]) }
    }

    /// Encodes `text` once to find its blocks.
    ///
    /// - Throws: `DatasetError`
    package func index(_ text: UnsafeBufferPointer<UInt8>, _ origin: Origin, scratch: inout [Int32]) throws -> Index {
        var index = Index()
        var position = 0
        while position < text.count {
            scratch.removeAll(keepingCapacity: true)
            index.blockStarts.append(position)
            index.tokenStarts.append(index.bodyCount)
            position = try encodeBlock(text, at: position, origin, into: &scratch)
            var count = scratch.count
            if index.blockStarts.count == 1, let first = scratch.first, first == frame.bos {
                index.startsWithBOS = true
                count -= 1
            }
            index.bodyCount += count
            if count > 0 { index.endsWithEOS = frame.eos != nil && scratch.last == frame.eos }
        }
        return index
    }

    /// Tokens of a document with this index, framing included.
    package func count(_ index: Index) -> Int {
        leadingCount + index.bodyCount + (hasTrailingEOS(index) ? 1 : 0)
    }

    /// Encodes the tokens `range` of a document, framing included, from the blocks that hold them alone.
    ///
    /// - Parameter range: clamped to the document.
    /// - Throws: `DatasetError`
    package func encode(
        _ text: UnsafeBufferPointer<UInt8>, range: Range<Int>, _ index: Index, _ origin: Origin, into ids: inout [Int32]
    ) throws {
        ids.removeAll(keepingCapacity: true)
        let lead = leadingCount
        let range = range.clamped(to: 0..<count(index))
        if let bos = frame.bos, lead == 1, range.contains(0) { ids.append(bos) }
        let body = (range.lowerBound - lead..<range.upperBound - lead).clamped(to: 0..<index.bodyCount)
        if !body.isEmpty {
            let bodyStart = ids.count
            var block = lastBlock(startingAtOrBefore: body.lowerBound, index)
            let surplus = body.lowerBound - index.tokenStarts[block]
            while block < index.blockStarts.count, index.tokenStarts[block] < body.upperBound {
                let first = ids.count
                _ = try encodeBlock(text, at: index.blockStarts[block], origin, into: &ids)
                if block == 0, index.startsWithBOS { ids.remove(at: first) }
                block += 1
            }
            ids.removeSubrange(bodyStart..<bodyStart + surplus)
            ids.removeSubrange((bodyStart + body.count)...)
        }
        if let eos = frame.eos, hasTrailingEOS(index), range.contains(lead + index.bodyCount) { ids.append(eos) }
    }

    private var leadingCount: Int { frame.addsBOS && frame.bos != nil ? 1 : 0 }

    private func hasTrailingEOS(_ index: Index) -> Bool {
        frame.addsEOS && frame.eos != nil && !index.endsWithEOS
    }

    private func lastBlock(startingAtOrBefore token: Int, _ index: Index) -> Int {
        var low = 0
        var high = index.tokenStarts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if index.tokenStarts[middle] <= token { low = middle } else { high = middle }
        }
        return low
    }

    /// Appends the ids of the block at `position` and returns where the next one starts.
    private func encodeBlock(
        _ text: UnsafeBufferPointer<UInt8>, at position: Int, _ origin: Origin, into ids: inout [Int32]
    ) throws(DatasetError) -> Int {
        let rest = UnsafeBufferPointer(rebasing: text[position...])
        let length =
            rest.count <= Self.blockBytes ? rest.count : tokenizer.splitPosition(in: rest, from: Self.blockBytes) ?? rest.count
        guard length <= Self.maximumStretchBytes else {
            throw .tooLarge(path: origin.file.path, line: origin.line, byteCount: length, limit: Self.maximumStretchBytes)
        }
        let first = ids.count
        tokenizer.encode(utf8: UnsafeBufferPointer(rebasing: rest[..<length]), special: true, isContinuation: position > 0, into: &ids)
        try check(ids, from: first, origin)
        return position + length
    }

    /// - Throws: `DatasetError.tokenizerMismatch` for ids that the model does not have.
    package func check(_ ids: [Int32], from first: Int = 0, _ origin: Origin) throws(DatasetError) {
        guard tokenizer.vocabularySize > vocabularySize else { return }
        for index in first..<ids.count where Int(ids[index]) >= vocabularySize {
            throw .tokenizerMismatch(
                path: origin.file.path, line: origin.line, token: Int(ids[index]), vocabularySize: vocabularySize)
        }
    }
}

extension SentencePieceTokenizer {
    public func encode(
        utf8 text: UnsafeBufferPointer<UInt8>, special: Bool, isContinuation: Bool, into ids: inout [Int32]
    ) {
        precondition(text.count < 1 << 29, "a text of 2^29 bytes or more must be encoded in parts")
        guard !text.isEmpty else { return }
        withWorkspace { workspace in
            var position = 0
            var isContinuation = isContinuation
            while special, let (place, match) = specials.firstMatch(text, from: position) {
                encodeSection(text[position..<place], isContinuation: isContinuation, workspace, into: &ids)
                ids.append(match.id)
                position = place + match.count
                isContinuation = false
            }
            encodeSection(text[position...], isContinuation: isContinuation, workspace, into: &ids)
        }
    }

    public func splitPosition(in text: UnsafeBufferPointer<UInt8>, from minimum: Int) -> Int? {
        guard wordsAreIndependent, !model.settings.removesExtraWhitespace, let bytesBeforeNoCut,
            let base = text.baseAddress
        else { return nil }
        var position = max(minimum, 1)
        while position < text.count {
            // A space behind what is no space starts a word.
            if base[position] == UInt8(ascii: " ") {
                let last = base[position - 1]
                let isSpace = last == UInt8(ascii: " ") || (position >= 3 && SpaceSymbol.starts(base, at: position - 3, count: position))
                if !isSpace, !bytesBeforeNoCut[Int(last)] { return position }
            }
            position += 1
        }
        return nil
    }

    /// Encodes text in which no special string is looked for.
    private func encodeSection(
        _ section: Slice<UnsafeBufferPointer<UInt8>>, isContinuation: Bool, _ workspace: MergeWorkspace, into ids: inout [Int32]
    ) {
        guard !section.isEmpty else { return }
        let count = normalize(UnsafeBufferPointer(rebasing: section), isContinuation: isContinuation, workspace)
        let text = UnsafePointer(workspace.normalized)
        var lastIsUnknown = false
        guard wordsAreIndependent else {
            encodeWord(text, count, workspace, lastIsUnknown: &lastIsUnknown, into: &ids)
            return
        }
        var start = 0
        while start < count {
            let end = endOfWord(text, from: start, count: count)
            encodeCached(text + start, end - start, workspace, lastIsUnknown: &lastIsUnknown, into: &ids)
            start = end
        }
    }

    /// A word is any number of space symbols and what follows up to the next one.
    @inline(__always)
    private func endOfWord(_ text: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int {
        var position = start
        while SpaceSymbol.starts(text, at: position, count: count) { position += 3 }
        while position < count {
            if text[position] == 0xe2, SpaceSymbol.starts(text, at: position, count: count) { break }
            position += 1
        }
        return position
    }

    @inline(__always)
    private func encodeCached(
        _ word: UnsafePointer<UInt8>, _ count: Int, _ workspace: MergeWorkspace, lastIsUnknown: inout Bool, into ids: inout [Int32]
    ) {
        // Without byte fallback the ids of a word depend on the one before: runs of unknown characters are one token.
        guard count <= WordCache.maximumWordCount, model.byteIDs != nil else {
            encodeWord(word, count, workspace, lastIsUnknown: &lastIsUnknown, into: &ids)
            return
        }
        let (entry, padded) = workspace.cache.place(of: word, count)
        if WordCache.appendIDs(of: entry, padded, count, to: &ids) { return }
        let first = ids.count
        encodeWord(word, count, workspace, lastIsUnknown: &lastIsUnknown, into: &ids)
        WordCache.store(ids, from: first, padded, count, in: entry)
    }
}

extension BPETokenizer {
    public func encode(
        utf8 text: UnsafeBufferPointer<UInt8>, special: Bool, isContinuation: Bool, into ids: inout [Int32]
    ) {
        precondition(text.count < 1 << 29, "a text of 2^29 bytes or more must be encoded in parts")
        guard !text.isEmpty else { return }
        guard JSONParser.validUTF8PrefixLength(text) == text.count else {
            var repaired = String(decoding: text, as: UTF8.self)
            return repaired.withUTF8 { encode(utf8: $0, special: special, isContinuation: isContinuation, into: &ids) }
        }
        withWorkspace { workspace in
            var position = 0
            while let found = added.next(text, from: position, special: special) {
                if found.range.lowerBound > position {
                    let section = UnsafeBufferPointer(rebasing: text[position..<found.range.lowerBound])
                    encodeSection(section, special, isFirst: position == 0, isContinuation: isContinuation && position == 0, workspace, &ids)
                }
                ids.append(found.id)
                position = found.range.upperBound
            }
            guard position < text.count else { return }
            let section = UnsafeBufferPointer(rebasing: text[position...])
            encodeSection(section, special, isFirst: position == 0, isContinuation: isContinuation && position == 0, workspace, &ids)
        }
    }

    public func splitPosition(in text: UnsafeBufferPointer<UInt8>, from minimum: Int) -> Int? {
        guard allowsCuts, let base = text.baseAddress else { return nil }
        var position = max(minimum, 1)
        while position < text.count {
            if base[position] == UInt8(ascii: " "), (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(base[position - 1] | 0x20) {
                return position
            }
            position += 1
        }
        return nil
    }

    /// A part of the text between added tokens. `isFirst`: it starts the text.
    private func encodeSection(
        _ section: UnsafeBufferPointer<UInt8>, _ special: Bool, isFirst: Bool, isContinuation: Bool, _ workspace: BPEWorkspace,
        _ ids: inout [Int32]
    ) {
        guard !definition.normalizers.isEmpty || !addedNormalized.isEmpty else {
            return encodeNormalized(section, isFirst: isFirst, isContinuation: isContinuation, workspace, &ids)
        }
        let normalized = definition.normalizers.reduce(Array(section)) { $1.apply($0, isContinuation: isContinuation) }
        normalized.withUnsafeBufferPointer { text in
            var position = 0
            while let found = addedNormalized.next(text, from: position, special: special) {
                let part = UnsafeBufferPointer(rebasing: text[position..<max(position, found.range.lowerBound)])
                encodeNormalized(part, isFirst: isFirst && position == 0, isContinuation: isContinuation && position == 0, workspace, &ids)
                ids.append(found.id)
                position = found.range.upperBound
            }
            guard position < text.count else { return }
            encodeNormalized(
                UnsafeBufferPointer(rebasing: text[position...]), isFirst: isFirst && position == 0,
                isContinuation: isContinuation && position == 0, workspace, &ids)
        }
    }

    private func encodeNormalized(
        _ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, isContinuation: Bool, _ workspace: BPEWorkspace, _ ids: inout [Int32]
    ) {
        guard let base = text.baseAddress, !text.isEmpty else { return }
        switch definition.preparation {
        case .none: split(base, 0..<text.count, 0, workspace, &ids)
        case .leadingSpace:
            if isContinuation || text[0] == UInt8(ascii: " ") { return split(base, 0..<text.count, 0, workspace, &ids) }
            encodePrepared([UInt8(ascii: " ")] + text, workspace, &ids)
        case .symbol(let prefix):
            let spaced = TextNormalizer.replace(pattern: [UInt8(ascii: " ")], with: SpaceSymbol.bytes).apply(Array(text), isContinuation: false)
            let wantsPrefix = !isContinuation && (prefix == .always || (prefix == .first && isFirst)) && !spaced.starts(with: SpaceSymbol.bytes)
            encodePrepared(wantsPrefix ? SpaceSymbol.bytes + spaced : spaced, workspace, &ids)
        }
    }

    private func encodePrepared(_ text: [UInt8], _ workspace: BPEWorkspace, _ ids: inout [Int32]) {
        text.withUnsafeBufferPointer { split($0.baseAddress!, 0..<$0.count, 0, workspace, &ids) }
    }

    /// Splits text[range] by the steps from `step` on and encodes what comes out at the end.
    private func split(_ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ step: Int, _ workspace: BPEWorkspace, _ ids: inout [Int32]) {
        guard step < definition.splits.count else {
            guard cutsAtSpaceSymbols else { return encodeCached(text + range.lowerBound, range.count, workspace, &ids) }
            return forEachWord(text, range) { encodeCached(text + $0.lowerBound, $0.count, workspace, &ids) }
        }
        switch definition.splits[step] {
        case .beforeSpaceSymbol:
            var start = range.lowerBound
            for place in range.dropFirst() where SpaceSymbol.starts(text, at: place, count: range.upperBound) {
                split(text, start..<place, step + 1, workspace, &ids)
                start = place
            }
            split(text, start..<range.upperBound, step + 1, workspace, &ids)
        case .pattern(let pattern, .isolated, _):
            pattern.forEachPart(text, range) { part, _ in split(text, part, step + 1, workspace, &ids) }
        case .pattern(let pattern, .removed, let isInverted):
            pattern.forEachPart(text, range) { part, isMatch in
                if isMatch == isInverted { split(text, part, step + 1, workspace, &ids) }
            }
        case .pattern(let pattern, let behavior, let isInverted):
            // Joins neighbours: what is held back goes out when the next part does not join it.
            var held: Range<Int>?
            var heldIsDelimiter = false
            pattern.forEachPart(text, range) { part, isMatch in
                let isDelimiter = isMatch != isInverted
                let joins =
                    switch behavior {
                    case .mergedWithPrevious: isDelimiter && !heldIsDelimiter
                    case .mergedWithNext: heldIsDelimiter && !isDelimiter
                    default: isDelimiter == heldIsDelimiter
                    }
                if let before = held, joins {
                    held = before.lowerBound..<part.upperBound
                } else {
                    if let before = held { split(text, before, step + 1, workspace, &ids) }
                    held = part
                }
                heldIsDelimiter = isDelimiter
            }
            if let held { split(text, held, step + 1, workspace, &ids) }
        }
    }

    /// Words start where a space symbol follows something else.
    @inline(__always)
    private func forEachWord(_ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ body: (Range<Int>) -> Void) {
        var start = range.lowerBound
        while start < range.upperBound {
            var end = start
            while SpaceSymbol.starts(text, at: end, count: range.upperBound) { end += 3 }
            while end < range.upperBound, text[end] != 0xe2 || !SpaceSymbol.starts(text, at: end, count: range.upperBound) { end += 1 }
            body(start..<end)
            start = end
        }
    }

    @inline(__always)
    private func encodeCached(_ word: UnsafePointer<UInt8>, _ count: Int, _ workspace: BPEWorkspace, _ ids: inout [Int32]) {
        guard count <= WordCache.maximumWordCount else { return encodeWord(word, count, workspace, &ids) }
        let (entry, padded) = workspace.cache.place(of: word, count)
        if WordCache.appendIDs(of: entry, padded, count, to: &ids) { return }
        let first = ids.count
        encodeWord(word, count, workspace, &ids)
        WordCache.store(ids, from: first, padded, count, in: entry)
    }
}

extension SentencePieceTokenizer {
    /// Byte pair merging of normalized text: O(n log n) in its characters.
    ///
    /// - Parameter lastIsUnknown: whether the id before was the unknown token, which swallows further unknown characters.
    func encodeWord(
        _ word: UnsafePointer<UInt8>, _ count: Int, _ workspace: MergeWorkspace, lastIsUnknown: inout Bool, into ids: inout [Int32]
    ) {
        guard count > 0 else { return }
        workspace.reserveSymbols(count)
        if hasUnusedPieces { workspace.unusedPieceSplits.removeAll(keepingCapacity: true) }
        let symbolCount = splitIntoSymbols(word, count, workspace.symbols)
        scores.withUnsafeBufferPointer { scores in
            for right in 1..<max(symbolCount, 1) { push(Int32(right - 1), Int32(right), word, scores, workspace) }
            mergeAll(word, scores, workspace)
        }
        var index: Int32 = 0
        while index >= 0 {
            let symbol = workspace.symbols[Int(index)]
            append(word + Int(symbol.start), Int(symbol.count), piece: symbol.piece, workspace, lastIsUnknown: &lastIsUnknown, into: &ids)
            index = symbol.next
        }
    }

    /// One symbol a character or user-defined string. Returns their number, at least 1.
    private func splitIntoSymbols(
        _ word: UnsafePointer<UInt8>, _ count: Int, _ symbols: UnsafeMutablePointer<MergeWorkspace.Symbol>
    ) -> Int {
        let buffer = UnsafeBufferPointer(start: word, count: count)
        var position = 0
        var index = 0
        while position < count {
            var isFrozen = false
            var length = min(Self.characterLength(lead: word[position]), count - position)
            if !userDefined.isEmpty, let match = userDefined.match(buffer, at: position) {
                length = match.count
                isFrozen = true
            }
            symbols[index] = MergeWorkspace.Symbol(
                start: Int32(position), count: Int32(length), previous: Int32(index - 1), next: Int32(index + 1), piece: -1,
                isFrozen: isFrozen)
            position += length
            index += 1
        }
        symbols[index - 1].next = -1
        return index
    }

    /// Bytes of the character that starts with this one.
    @inline(__always)
    private static func characterLength(lead: UInt8) -> Int {
        lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    }

    /// Queues the union of two neighbours if it is a piece.
    @inline(__always)
    private func push(
        _ left: Int32, _ right: Int32, _ word: UnsafePointer<UInt8>, _ scores: UnsafeBufferPointer<Float>, _ workspace: MergeWorkspace
    ) {
        guard left >= 0, right >= 0 else { return }
        let a = workspace.symbols[Int(left)]
        let b = workspace.symbols[Int(right)]
        guard !a.isFrozen, !b.isFrozen else { return }
        let count = a.count + b.count
        let piece = ordinaryPieces.lookup(word + Int(a.start), Int(count))
        guard piece >= 0 else { return }
        workspace.push(
            MergeWorkspace.Merge(score: scores[Int(piece)], left: left, right: right, count: count, piece: piece))
        if hasUnusedPieces, model.kinds[Int(piece)] == .unused { workspace.unusedPieceSplits[piece] = a.count }
    }

    private func mergeAll(_ word: UnsafePointer<UInt8>, _ scores: UnsafeBufferPointer<Float>, _ workspace: MergeWorkspace) {
        while workspace.mergeCount > 0 {
            let merge = workspace.pop()
            let symbols = workspace.symbols
            let left = Int(merge.left)
            let right = Int(merge.right)
            // One of the two has been merged with another symbol since.
            guard symbols[left].count > 0, symbols[right].count > 0, symbols[left].count + symbols[right].count == merge.count else {
                continue
            }
            symbols[left].count = merge.count
            symbols[left].piece = merge.piece
            symbols[left].next = symbols[right].next
            if symbols[right].next >= 0 { symbols[Int(symbols[right].next)].previous = merge.left }
            symbols[right].count = 0
            push(symbols[left].previous, merge.left, word, scores, workspace)
            push(merge.left, symbols[left].next, word, scores, workspace)
        }
    }

    /// Appends the ids of one symbol that merging left over.
    private func append(
        _ start: UnsafePointer<UInt8>, _ count: Int, piece: Int32, _ workspace: MergeWorkspace, lastIsUnknown: inout Bool,
        into ids: inout [Int32]
    ) {
        var id = piece >= 0 ? piece : ordinaryPieces.lookup(start, count)
        if id < 0 { id = model.unknownID }
        if hasUnusedPieces, model.kinds[Int(id)] == .unused, let leftCount = workspace.unusedPieceSplits[id].map(Int.init) {
            // Each part is shorter than the whole, so this ends.
            for part in [(start, leftCount), (start + leftCount, count - leftCount)] {
                append(
                    part.0, part.1, piece: ordinaryPieces.lookup(part.0, part.1), workspace, lastIsUnknown: &lastIsUnknown, into: &ids)
            }
            return
        }
        guard id == model.unknownID else {
            ids.append(id)
            lastIsUnknown = false
            return
        }
        if let byteIDs = model.byteIDs {
            for offset in 0..<count { ids.append(byteIDs[Int(start[offset])]) }
        } else if !lastIsUnknown {
            ids.append(id)
        }
        lastIsUnknown = true
    }
}

extension BPETokenizer {
    /// Byte pair merging of one word.
    func encodeWord(_ word: UnsafePointer<UInt8>, _ count: Int, _ workspace: BPEWorkspace, _ ids: inout [Int32]) {
        if definition.looksUpWords {
            let id = words.lookup(word, count)
            if id >= 0 { return ids.append(id) }
        }
        workspace.queue.reserveSymbols(count)
        let symbols = workspace.queue.symbols
        let symbolCount = definition.isByteLevel ? appendBytes(word, count, symbols) : appendCharacters(word, count, symbols)
        guard symbolCount > 0 else { return }
        if symbolCount <= BPEWorkspace.shortCount {
            mergeShort(symbolCount, workspace, &ids)
        } else {
            mergeLong(symbolCount, workspace, &ids)
        }
    }

    // MARK: - Symbols

    /// Bytes that the vocabulary does not have become the unknown token, or nothing.
    private func appendBytes(_ word: UnsafePointer<UInt8>, _ count: Int, _ symbols: UnsafeMutablePointer<MergeWorkspace.Symbol>) -> Int {
        var list = SymbolList(symbols: symbols, unknownID: definition.unknownID, fusesUnknown: definition.fusesUnknown)
        byteIDs.withUnsafeBufferPointer { byteIDs in
            for offset in 0..<count {
                let id = byteIDs[Int(word[offset])]
                if id >= 0 { list.append(id, 1) } else { list.appendUnknown(1) }
            }
        }
        return list.finish()
    }

    private func appendCharacters(_ word: UnsafePointer<UInt8>, _ count: Int, _ symbols: UnsafeMutablePointer<MergeWorkspace.Symbol>) -> Int {
        var list = SymbolList(symbols: symbols, unknownID: definition.unknownID, fusesUnknown: definition.fusesUnknown)
        var position = 0
        while position < count {
            let length = min(SplitPattern.characterLength(word[position]), count - position)
            let id = words.lookup(word + position, length)
            if id >= 0 {
                list.append(id, length)
            } else if !definition.fallbackBytes.isEmpty, (0..<length).allSatisfy({ definition.fallbackBytes[Int(word[position + $0])] >= 0 }) {
                for offset in 0..<length { list.append(definition.fallbackBytes[Int(word[position + offset])], 1) }
            } else {
                list.appendUnknown(length)
            }
            position += length
        }
        return list.finish()
    }

    private struct SymbolList {
        let symbols: UnsafeMutablePointer<MergeWorkspace.Symbol>
        let unknownID: Int32?
        let fusesUnknown: Bool
        var count = 0
        var start: Int32 = 0
        /// Bytes of the unknown token that may still grow.
        var pending: Int32 = 0

        @inline(__always)
        mutating func append(_ id: Int32, _ length: Int) {
            if pending > 0 { flush() }
            add(id, Int32(length))
        }

        mutating func appendUnknown(_ length: Int) {
            guard unknownID != nil else { return }
            if pending > 0, !fusesUnknown { flush() }
            pending += Int32(length)
        }

        mutating func finish() -> Int {
            if pending > 0 { flush() }
            if count > 0 { symbols[count - 1].next = -1 }
            return count
        }

        private mutating func flush() {
            add(unknownID!, pending)
            pending = 0
        }

        @inline(__always)
        private mutating func add(_ id: Int32, _ length: Int32) {
            symbols[count] = MergeWorkspace.Symbol(
                start: start, count: length, previous: Int32(count - 1), next: Int32(count + 1), piece: id, isFrozen: false)
            start += length
            count += 1
        }
    }

    // MARK: - Merging

    private func mergeShort(_ symbolCount: Int, _ workspace: BPEWorkspace, _ ids: inout [Int32]) {
        let list = workspace.ids, ranks = workspace.ranks, results = workspace.results
        for index in 0..<symbolCount { list[index] = workspace.queue.symbols[index].piece }
        var count = symbolCount
        func update(_ index: Int) {
            guard index + 1 < count else { return ranks[index] = .max }
            (ranks[index], results[index]) = pairs.lookup(list[index], list[index + 1])
        }
        for index in 0..<count { update(index) }
        while count > 1 {
            var best = 0
            for index in 1..<count where ranks[index] < ranks[best] { best = index }
            guard ranks[best] < .max else { break }
            list[best] = results[best]
            count -= 1
            for index in best + 1..<max(count, best + 1) {
                list[index] = list[index + 1]
                ranks[index] = ranks[index + 1]
                results[index] = results[index + 1]
            }
            update(best)
            if best > 0 { update(best - 1) }
        }
        ids.append(contentsOf: UnsafeBufferPointer(start: list, count: count))
    }

    /// The same through a queue: O(n log n).
    private func mergeLong(_ symbolCount: Int, _ workspace: BPEWorkspace, _ ids: inout [Int32]) {
        let queue = workspace.queue, symbols = queue.symbols
        for right in 1..<symbolCount { push(Int32(right - 1), Int32(right), queue) }
        while queue.mergeCount > 0 {
            let merge = queue.pop()
            let left = Int(merge.left), right = Int(merge.right)
            // One of the two has been merged with another symbol since.
            guard symbols[left].count > 0, symbols[right].count > 0, symbols[left].count + symbols[right].count == merge.count else { continue }
            symbols[left].count = merge.count
            symbols[left].piece = merge.piece
            symbols[left].next = symbols[right].next
            if symbols[right].next >= 0 { symbols[Int(symbols[right].next)].previous = merge.left }
            symbols[right].count = 0
            push(symbols[left].previous, merge.left, queue)
            push(merge.left, symbols[left].next, queue)
        }
        var index: Int32 = 0
        while index >= 0 {
            ids.append(symbols[Int(index)].piece)
            index = symbols[Int(index)].next
        }
    }

    @inline(__always)
    private func push(_ left: Int32, _ right: Int32, _ queue: MergeWorkspace) {
        guard left >= 0, right >= 0 else { return }
        let a = queue.symbols[Int(left)], b = queue.symbols[Int(right)]
        let (rank, result) = pairs.lookup(a.piece, b.piece)
        guard rank < .max else { return }
        // The queue takes the highest score first; ranks are below 2^24, so that Float holds them.
        queue.push(MergeWorkspace.Merge(score: -Float(rank), left: left, right: right, count: a.count + b.count, piece: result))
    }
}

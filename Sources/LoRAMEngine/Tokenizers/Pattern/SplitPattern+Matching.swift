extension SplitPattern {
    /// Calls `body` with the parts of text[range] in order: matches, and what lies between them. Parts are not empty.
    ///
    /// - Parameter text: well-formed UTF-8; what lies outside the range is not seen.
    @inline(__always)
    func forEachPart(_ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ body: (_ part: Range<Int>, _ isMatch: Bool) -> Void) {
        var gapStart = range.lowerBound
        var position = range.lowerBound
        while position < range.upperBound {
            let end = endOfMatch(text, at: position, limit: range.upperBound)
            guard end > position else {
                position += Self.characterLength(text[position])
                continue
            }
            if gapStart < position { body(gapStart..<position, false) }
            body(position..<end, true)
            position = end
            gapStart = end
        }
        if gapStart < range.upperBound { body(gapStart..<range.upperBound, false) }
    }

    /// The end of the match that starts at `position`; -1 if there is none.
    func endOfMatch(_ text: UnsafePointer<UInt8>, at position: Int, limit: Int) -> Int {
        guard let startMasks else { return match(start, text, position, limit) }
        let branch = nodes[Int(start)]
        var options = startMasks[Int(text[position])]
        while options != 0 {
            let end = match(targets[Int(branch.index) + options.trailingZeroBitCount], text, position, limit)
            if end >= 0 { return end }
            options &= options - 1
        }
        return -1
    }

    private func match(_ first: Int32, _ text: UnsafePointer<UInt8>, _ start: Int, _ limit: Int) -> Int {
        var index = first
        var position = start
        while true {
            let node = nodes[Int(index)]
            switch node.kind {
            case .end: return position
            case .lookahead:
                let isThere = position < limit && length(node.index, text, position) > 0
                if isThere == node.isNegative { return -1 }
            case .branch:
                for option in 0..<Int(node.maximum) {
                    let end = match(targets[Int(node.index) + option], text, position, limit)
                    if end >= 0 { return end }
                }
                return -1
            case .set:
                let first = position
                var count: Int32 = 0
                while count < node.maximum, position < limit {
                    let step = length(node.index, text, position)
                    if step == 0 { break }
                    position += step
                    count += 1
                }
                if count < node.minimum { return -1 }
                if !node.isPossessive, count > node.minimum, nodes[Int(node.next)].kind != .end {
                    return backtrack(node, text, from: first, to: position, count: count, limit)
                }
            }
            index = node.next
        }
    }

    /// Tries what follows a repeated set with ever fewer characters taken.
    private func backtrack(
        _ node: Node, _ text: UnsafePointer<UInt8>, from first: Int, to last: Int, count: Int32, _ limit: Int
    ) -> Int {
        var position = last
        var count = count
        while true {
            let end = match(node.next, text, position, limit)
            if end >= 0 || count == node.minimum { return end }
            count -= 1
            position -= 1
            while text[position] & 0xc0 == 0x80 { position -= 1 }
        }
    }

    /// Bytes of the character at `position` if the set has it, else 0.
    @inline(__always)
    private func length(_ set: Int32, _ text: UnsafePointer<UInt8>, _ position: Int) -> Int {
        let lead = UInt32(text[position])
        if lead < 0x80 { return sets[Int(set)].containsASCII(lead) ? 1 : 0 }
        let value: UInt32
        let count: Int
        func tail(_ offset: Int) -> UInt32 { UInt32(text[position + offset] & 0x3f) }
        if lead < 0xe0 {
            (value, count) = ((lead & 0x1f) << 6 | tail(1), 2)
        } else if lead < 0xf0 {
            (value, count) = ((lead & 0x0f) << 12 | tail(1) << 6 | tail(2), 3)
        } else {
            (value, count) = ((lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4)
        }
        return sets[Int(set)].containsBeyondASCII(value) ? count : 0
    }

    @inline(__always)
    static func characterLength(_ lead: UInt8) -> Int { lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4 }
}

extension BPETokenizer {
    public func decode(_ ids: [Int32]) -> String {
        var text: [UInt8] = []
        var pendingBytes: [UInt8] = []
        var isFirst = true
        for id in ids {
            guard id >= 0, Int(id) < vocabularySize, kinds[Int(id)] != .missing else {
                flush(&pendingBytes, to: &text)
                text.append(contentsOf: "\u{fffd}".utf8)
                continue
            }
            if kinds[Int(id)] == .special { continue }
            defer { isFirst = false }
            if definition.decoding.joinsByteTokens, kinds[Int(id)] == .byte {
                pendingBytes.append(UInt8(truncatingIfNeeded: definition.fallbackBytes.firstIndex(of: id)!))
                continue
            }
            flush(&pendingBytes, to: &text)
            let bytes = texts[Int(textStarts[Int(id)])..<Int(textStarts[Int(id) + 1])]
            guard definition.decoding.replacesSpaceSymbols else {
                text.append(contentsOf: bytes)
                continue
            }
            let drops = isFirst && definition.decoding.leadingSpace == .droppedFromFirstToken
            text += TextNormalizer.replace(pattern: SpaceSymbol.bytes, with: drops ? [] : [UInt8(ascii: " ")]).apply(Array(bytes), isContinuation: false)
        }
        flush(&pendingBytes, to: &text)
        if case .stripped(let count) = definition.decoding.leadingSpace {
            text.removeFirst(text.prefix(count).prefix { $0 == UInt8(ascii: " ") }.count)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// A run of byte tokens: characters if all of it is UTF-8, else U+FFFD for each byte.
    private func flush(_ bytes: inout [UInt8], to text: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        if bytes.withUnsafeBufferPointer({ JSONParser.validUTF8PrefixLength($0) }) == bytes.count {
            text += bytes
        } else {
            for _ in bytes { text.append(contentsOf: "\u{fffd}".utf8) }
        }
        bytes.removeAll(keepingCapacity: true)
    }
}

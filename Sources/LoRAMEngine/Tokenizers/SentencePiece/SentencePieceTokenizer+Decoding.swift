extension SentencePieceTokenizer {
    /// The text of `ids`, as the reference implementation decodes: space symbols become spaces, the one that encoding put in front
    /// goes away, runs of byte tokens become characters, control tokens are invisible.
    public func decode(_ ids: [Int32]) -> String {
        var text: [UInt8] = []
        var pendingBytes: [UInt8] = []
        var dropsLeadingSpace = model.settings.addsDummyPrefix || model.settings.removesExtraWhitespace
        for id in ids {
            guard id >= 0, Int(id) < vocabularySize else {
                flush(&pendingBytes, to: &text)
                text.append(contentsOf: "\u{fffd}".utf8)
                continue
            }
            if model.kinds[Int(id)] == .byte {
                pendingBytes.append(byteValue(of: id))
                continue
            }
            flush(&pendingBytes, to: &text)
            if !text.isEmpty { dropsLeadingSpace = false }
            switch model.kinds[Int(id)] {
            case .control, .byte: break
            case .unknown: text.append(contentsOf: model.settings.unknownSurface)
            case .normal, .userDefined, .unused:
                var piece = model.bytes(of: Int(id))
                if dropsLeadingSpace, piece.starts(with: SpaceSymbol.bytes) {
                    piece = piece.dropFirst(3)
                    // Where extra spaces were removed, all leading ones go; elsewhere only the one that was added.
                    dropsLeadingSpace = model.settings.removesExtraWhitespace
                }
                appendReplacingSpaceSymbols(piece, to: &text)
            }
        }
        flush(&pendingBytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    private func appendReplacingSpaceSymbols(_ piece: ArraySlice<UInt8>, to text: inout [UInt8]) {
        var rest = piece
        while let byte = rest.first {
            if rest.starts(with: SpaceSymbol.bytes) {
                text.append(UInt8(ascii: " "))
                rest = rest.dropFirst(3)
            } else {
                text.append(byte)
                rest = rest.dropFirst()
            }
        }
    }

    /// Byte tokens are spelt `<0x0A>`; validation saw to it.
    private func byteValue(of id: Int32) -> UInt8 {
        let digits = model.bytes(of: Int(id)).dropFirst(3).prefix(2)
        return UInt8(String(decoding: digits, as: UTF8.self), radix: 16) ?? 0
    }

    /// Turns a run of byte tokens into text: whole characters as they are, every byte that belongs to none as U+FFFD.
    private func flush(_ bytes: inout [UInt8], to text: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        var position = 0
        bytes.withUnsafeBufferPointer { bytes in
            while position < bytes.count {
                let rest = UnsafeBufferPointer(rebasing: bytes[position...])
                let valid = JSONParser.validUTF8PrefixLength(rest)
                text.append(contentsOf: rest[..<valid])
                position += valid
                if position < bytes.count {
                    text.append(contentsOf: "\u{fffd}".utf8)
                    position += 1
                }
            }
        }
        bytes.removeAll(keepingCapacity: true)
    }
}

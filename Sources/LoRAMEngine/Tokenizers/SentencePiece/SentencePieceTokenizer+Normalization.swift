extension SentencePieceTokenizer {
    /// Writes the normalized form of `text` (not empty) to `workspace.normalized` and returns its length.
    ///
    /// User-defined symbols are copied as they are, so a space inside one stays a space, unless white space is escaped.
    func normalize(_ text: UnsafeBufferPointer<UInt8>, isContinuation: Bool, _ workspace: MergeWorkspace) -> Int {
        // At worst every byte is a space and becomes three.
        workspace.reserveNormalized(3 * text.count + 3)
        let escapes = model.settings.escapesWhitespace
        let addsPrefix = model.settings.addsDummyPrefix && !isContinuation
        if model.settings.removesExtraWhitespace {
            return normalizeRemovingSpaces(text, addsPrefix: addsPrefix, workspace.normalized)
        }
        let target = workspace.normalized
        var count = addsPrefix ? appendSpace(target, 0) : 0
        guard escapes else {
            for byte in text {
                target[count] = byte
                count += 1
            }
            return count
        }
        for byte in text {
            if byte == UInt8(ascii: " ") {
                target[count] = 0xe2
                target[count + 1] = 0x96
                target[count + 2] = 0x81
                count += 3
            } else {
                target[count] = byte
                count += 1
            }
        }
        return count
    }

    /// `remove_extra_whitespaces`: no spaces at either end, never two in a row. A user-defined symbol is one unit here: only spaces at
    /// its front can go, where the text before it ends in a space.
    private func normalizeRemovingSpaces(
        _ text: UnsafeBufferPointer<UInt8>, addsPrefix: Bool, _ target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let space = UInt8(ascii: " ")
        func unit(at position: Int) -> Int {
            if !userDefined.isEmpty, let match = userDefined.match(text, at: position) { return match.count }
            return 1
        }
        var position = 0
        while position < text.count, text[position] == space, unit(at: position) == 1 { position += 1 }
        guard position < text.count else { return 0 }

        var count = addsPrefix ? appendSpace(target, 0) : 0
        var endsInSpace = true
        while position < text.count {
            let end = position + unit(at: position)
            while endsInSpace, position < end, text[position] == space { position += 1 }
            while position < end {
                endsInSpace = text[position] == space
                if endsInSpace {
                    count = appendSpace(target, count)
                } else {
                    target[count] = text[position]
                    count += 1
                }
                position += 1
            }
        }
        return countWithoutTrailingSpaces(target, count)
    }

    private func countWithoutTrailingSpaces(_ text: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
        var count = count
        if model.settings.escapesWhitespace {
            while count >= 3, SpaceSymbol.starts(text, at: count - 3, count: count) { count -= 3 }
        } else {
            while count >= 1, text[count - 1] == UInt8(ascii: " ") { count -= 1 }
        }
        return count
    }

    /// Returns the new length.
    @inline(__always)
    private func appendSpace(_ target: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
        guard model.settings.escapesWhitespace else {
            target[count] = UInt8(ascii: " ")
            return count + 1
        }
        target[count] = 0xe2
        target[count + 1] = 0x96
        target[count + 2] = 0x81
        return count + 3
    }
}

extension JSONParser {
    /// A string whose opening quote is at `position`; leaves `position` behind the closing quote.
    mutating func string() throws -> String {
        let start = position + 1
        let end = JSONScanner.endOfPlainText(base, from: start, count: count)
        position = end
        guard end < count else { throw JSONError.unexpectedEnd(expected: "'\"' at the end of a string", offset: end) }
        if base[end] == UInt8(ascii: "\"") {
            position = end + 1
            return try decode(UnsafeBufferPointer(start: base + start, count: end - start), at: start)
        }
        return try escapedString(from: start)
    }

    /// Continues at the first byte that cannot be copied along: an escape or a control character.
    private mutating func escapedString(from start: Int) throws -> String {
        scratch.removeAll(keepingCapacity: true)
        var copied = start
        while true {
            scratch.append(contentsOf: try checkedUTF8(copied..<position))
            guard position < count else {
                throw JSONError.unexpectedEnd(expected: "'\"' at the end of a string", offset: position)
            }
            switch base[position] {
            case UInt8(ascii: "\""):
                position += 1
                return String(decoding: scratch, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape()
            case let byte: throw JSONError.unexpectedByte(byte, expected: "no raw control character in a string", offset: position)
            }
            copied = position
            position = JSONScanner.endOfPlainText(base, from: position, count: count)
        }
    }

    /// Appends what the escape at `position` stands for to `scratch`.
    private mutating func escape() throws {
        let offset = position
        guard position + 1 < count else { throw JSONError.unexpectedEnd(expected: "an escape sequence", offset: count) }
        let letter = base[position + 1]
        position += 2
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scratch.append(letter)
        case UInt8(ascii: "b"): scratch.append(0x08)
        case UInt8(ascii: "f"): scratch.append(0x0c)
        case UInt8(ascii: "n"): scratch.append(0x0a)
        case UInt8(ascii: "r"): scratch.append(0x0d)
        case UInt8(ascii: "t"): scratch.append(0x09)
        case UInt8(ascii: "u"):
            let scalar = try unicodeScalar(startingAt: offset)
            scratch.append(contentsOf: UTF8.encode(scalar)!)
        default: throw JSONError.invalidEscape(offset: offset)
        }
    }

    /// The four digits after `\u` at `position`, and those of a second half where the first is a leading surrogate.
    private mutating func unicodeScalar(startingAt offset: Int) throws -> Unicode.Scalar {
        let first = try hexUnit(escapeOffset: offset)
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00, position + 1 < count,
            base[position] == UInt8(ascii: "\\"), base[position + 1] == UInt8(ascii: "u")
        else { throw JSONError.invalidEscape(offset: offset) }
        position += 2
        let second = try hexUnit(escapeOffset: offset)
        guard (0xdc00...0xdfff).contains(second) else { throw JSONError.invalidEscape(offset: offset) }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        return Unicode.Scalar(code)!
    }

    private mutating func hexUnit(escapeOffset: Int) throws -> UInt32 {
        guard count - position >= 4 else { throw JSONError.unexpectedEnd(expected: "four hexadecimal digits", offset: count) }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            let byte = base[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw JSONError.invalidEscape(offset: escapeOffset)
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }

    private func decode(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) throws -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        throw JSONError.invalidUTF8(offset: offset + Self.validUTF8PrefixLength(bytes))
    }

    private func checkedUTF8(_ range: Range<Int>) throws -> UnsafeBufferPointer<UInt8> {
        let bytes = UnsafeBufferPointer(start: base + range.lowerBound, count: range.count)
        let valid = Self.validUTF8PrefixLength(bytes)
        guard valid == bytes.count else { throw JSONError.invalidUTF8(offset: range.lowerBound + valid) }
        return bytes
    }

    /// Bytes up to the first ill-formed sequence (Unicode table 3-7: no overlong forms, no surrogates, at most U+10FFFF).
    static func validUTF8PrefixLength(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let count = bytes.count
        guard let p = bytes.baseAddress else { return 0 }
        var i = 0
        while i < count {
            let lead = p[i]
            if lead < 0x80 {
                i += 1
                continue
            }
            let length: Int
            var second: ClosedRange<UInt8> = 0x80...0xbf
            switch lead {
            case 0xc2...0xdf: length = 2
            case 0xe0: (length, second) = (3, 0xa0...0xbf)
            case 0xed: (length, second) = (3, 0x80...0x9f)
            case 0xe1...0xef: length = 3
            case 0xf0: (length, second) = (4, 0x90...0xbf)
            case 0xf4: (length, second) = (4, 0x80...0x8f)
            case 0xf1...0xf3: length = 4
            default: return i
            }
            guard count - i >= length, second.contains(p[i + 1]) else { return i }
            for k in 2..<max(length, 2) where p[i + k] & 0xc0 != 0x80 { return i }
            i += length
        }
        return count
    }
}

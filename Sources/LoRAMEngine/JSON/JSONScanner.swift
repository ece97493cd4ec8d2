/// Finds where the elements of a large JSON array lie, without building or fully checking them.
///
/// One forward pass that reads each byte once and keeps nothing: made for memory-mapped datasets. What lies inside an element
/// is only followed for quotes and brackets; `JSONValue.parse` on its range is what checks it.
public enum JSONScanner {
    /// Calls `body` with the byte range of each top-level element, in order, without the white space around it.
    ///
    /// - Throws: `JSONError` if the text is no array, an element is missing between commas, brackets or quotes do not close,
    ///   or bytes follow the array; and what `body` throws.
    public static func elementRanges(of bytes: UnsafeRawBufferPointer, _ body: (Range<Int>) throws -> Void) throws {
        var position = 0
        guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            throw JSONError.unexpectedEnd(expected: "'[' of an array", offset: 0)
        }
        let count = bytes.count
        position = skipWhitespace(base, from: byteOrderMarkLength(base, count), count: count)
        guard position < count else { throw JSONError.unexpectedEnd(expected: "'[' of an array", offset: position) }
        guard base[position] == UInt8(ascii: "[") else {
            throw JSONError.unexpectedByte(base[position], expected: "'[' of an array", offset: position)
        }
        position = skipWhitespace(base, from: position + 1, count: count)
        if position < count, base[position] == UInt8(ascii: "]") {
            position += 1
        } else {
            while true {
                let end = try endOfElement(base, from: position, count: count)
                try body(position..<end)
                position = skipWhitespace(base, from: end, count: count)
                guard position < count else { throw JSONError.unexpectedEnd(expected: "',' or ']' in an array", offset: position) }
                let separator = base[position]
                guard separator == UInt8(ascii: ",") || separator == UInt8(ascii: "]") else {
                    throw JSONError.unexpectedByte(separator, expected: "',' or ']' in an array", offset: position)
                }
                position += 1
                if separator == UInt8(ascii: "]") { break }
                position = skipWhitespace(base, from: position, count: count)
            }
        }
        position = skipWhitespace(base, from: position, count: count)
        guard position == count else { throw JSONError.trailingBytes(offset: position) }
    }

    /// The byte ranges of all top-level elements.
    public static func elementRanges(of bytes: UnsafeRawBufferPointer) throws -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        try elementRanges(of: bytes) { ranges.append($0) }
        return ranges
    }

    /// The offset behind the value that starts at `start`.
    private static func endOfElement(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) throws -> Int {
        guard start < count else { throw JSONError.unexpectedEnd(expected: "a value", offset: start) }
        switch base[start] {
        case UInt8(ascii: "{"), UInt8(ascii: "["): return try endOfContainer(base, from: start, count: count)
        case UInt8(ascii: "\""): return try endOfString(base, from: start, count: count)
        case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: ":"):
            throw JSONError.unexpectedByte(base[start], expected: "a value", offset: start)
        default: break
        }
        var position = start
        while position < count {
            switch base[position] {
            case UInt8(ascii: ","), UInt8(ascii: "]"), 0x20, 0x09, 0x0a, 0x0d: return position
            default: position += 1
            }
        }
        throw JSONError.unexpectedEnd(expected: "',' or ']' in an array", offset: position)
    }

    /// Only the number of open brackets is kept, not their kinds: nesting of any depth costs no memory.
    private static func endOfContainer(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) throws -> Int {
        var depth = 0
        var position = start
        while position < count {
            switch base[position] {
            case UInt8(ascii: "\""): position = try endOfString(base, from: position, count: count)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
                if depth == 0 { return position }
            default: position += 1
            }
        }
        throw JSONError.unexpectedEnd(expected: "the end of the element at byte \(start)", offset: position)
    }

    /// The offset behind the closing quote of the string whose opening quote is at `start`.
    private static func endOfString(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) throws -> Int {
        var position = start + 1
        while true {
            position = endOfPlainText(base, from: position, count: count)
            guard position < count else { throw JSONError.unexpectedEnd(expected: "'\"' at the end of a string", offset: count) }
            switch base[position] {
            case UInt8(ascii: "\""): return position + 1
            case UInt8(ascii: "\\"): position += 2
            default: position += 1
            }
        }
    }

    static func skipWhitespace(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int {
        var position = start
        while position < count {
            switch base[position] {
            case 0x20, 0x0a, 0x0d, 0x09: position += 1
            default: return position
            }
        }
        return position
    }

    static func byteOrderMarkLength(_ base: UnsafePointer<UInt8>, _ count: Int) -> Int {
        count >= 3 && base[0] == 0xef && base[1] == 0xbb && base[2] == 0xbf ? 3 : 0
    }

    /// The offset of the first quote, backslash or control character at or after `start`; `count` if there is none.
    ///
    /// Eight bytes at a time: a byte equals c where (word XOR c) has a zero byte, and a byte v is below 0x20 where v - 0x20
    /// borrows while v's high bit is clear. Borrows only disturb bytes above a true hit, so the lowest hit is exact.
    static func endOfPlainText(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        var position = start
        while position + 8 <= count {
            let word = UInt64(littleEndian: UnsafeRawPointer(base + position).loadUnaligned(as: UInt64.self))
            let quotes = word ^ (ones &* 0x22)
            let backslashes = word ^ (ones &* 0x5c)
            let isQuote = (quotes &- ones) & ~quotes
            let isBackslash = (backslashes &- ones) & ~backslashes
            let isControl = (word &- (ones &* 0x20)) & ~word
            let hits = (isQuote | isBackslash | isControl) & highs
            if hits != 0 { return position + hits.trailingZeroBitCount / 8 }
            position += 8
        }
        while position < count {
            let byte = base[position]
            if byte == 0x22 || byte == 0x5c || byte < 0x20 { return position }
            position += 1
        }
        return max(position, start)
    }
}

extension JSONValue {
    /// Nesting that no honest document needs and every thread's stack bears.
    public static let defaultDepthLimit = 128

    /// Reads one JSON text (RFC 8259): strict grammar, no comments, no trailing commas, each key once. A leading UTF-8 byte order
    /// mark is skipped.
    ///
    /// - Throws: `JSONError` with the byte offset.
    public static func parse(_ bytes: UnsafeRawBufferPointer, depthLimit: Int = defaultDepthLimit) throws -> JSONValue {
        var parser = JSONParser(bytes, depthLimit: depthLimit)
        return try parser.document()
    }

    public static func parse(_ bytes: [UInt8], depthLimit: Int = defaultDepthLimit) throws -> JSONValue {
        try bytes.withUnsafeBytes { try parse($0, depthLimit: depthLimit) }
    }

    public static func parse(_ text: String, depthLimit: Int = defaultDepthLimit) throws -> JSONValue {
        var text = text
        return try text.withUTF8 { try parse(UnsafeRawBufferPointer($0), depthLimit: depthLimit) }
    }
}

extension JSONValue {
    /// Reads a whole file.
    ///
    /// - Throws: `FileError`, `JSONError`.
    public static func parse(contentsOf path: String, depthLimit: Int = defaultDepthLimit) throws -> JSONValue {
        try MappedFile(path: path).withBytes { try parse($0, depthLimit: depthLimit) }
    }
}

/// Recursive descent over bytes that stay where they are for as long as the parser lives.
struct JSONParser {
    let base: UnsafePointer<UInt8>
    let count: Int
    let depthLimit: Int
    /// Next byte to read.
    var position = 0
    /// Holds strings with escapes while they are decoded; kept to reuse its storage.
    var scratch: [UInt8] = []

    init(_ bytes: UnsafeRawBufferPointer, depthLimit: Int) {
        // An empty buffer may have no address; nothing is read from the stand-in since count is 0.
        base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(bitPattern: 1)!
        count = bytes.count
        self.depthLimit = depthLimit
    }

    mutating func document() throws -> JSONValue {
        position = JSONScanner.byteOrderMarkLength(base, count)
        let result = try value(depth: 0)
        skipWhitespace()
        guard position == count else { throw JSONError.trailingBytes(offset: position) }
        return result
    }

    /// One value, with white space before it.
    mutating func value(depth: Int) throws -> JSONValue {
        skipWhitespace()
        guard position < count else { throw JSONError.unexpectedEnd(expected: "a value", offset: position) }
        switch base[position] {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t"):
            try word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try word("null")
            return .null
        case let byte: throw JSONError.unexpectedByte(byte, expected: "a value", offset: position)
        }
    }

    private mutating func array(depth: Int) throws -> JSONValue {
        guard depth < depthLimit else { throw JSONError.tooDeep(limit: depthLimit, offset: position) }
        position += 1
        var elements: [JSONValue] = []
        skipWhitespace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipWhitespace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "]")) { return .array(elements) }
            throw unexpected("',' or ']' in an array")
        }
    }

    private mutating func object(depth: Int) throws -> JSONValue {
        guard depth < depthLimit else { throw JSONError.tooDeep(limit: depthLimit, offset: position) }
        position += 1
        var members: [JSONMember] = []
        var keys = KeySet()
        skipWhitespace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipWhitespace()
            let keyOffset = position
            guard position < count, base[position] == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
            let key = try string()
            guard keys.insert(key, after: members) else { throw JSONError.duplicateKey(key, offset: keyOffset) }
            skipWhitespace()
            guard take(UInt8(ascii: ":")) else { throw unexpected("':' after a key") }
            members.append(JSONMember(key, try value(depth: depth + 1)))
            skipWhitespace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "}")) { return .object(members) }
            throw unexpected("',' or '}' in an object")
        }
    }

    private mutating func word(_ text: StaticString) throws {
        let letters = text.utf8Start
        for index in 0..<text.utf8CodeUnitCount {
            guard position < count, base[position] == letters[index] else { throw unexpected("\(text)") }
            position += 1
        }
    }

    mutating func skipWhitespace() {
        while position < count {
            switch base[position] {
            case 0x20, 0x0a, 0x0d, 0x09: position += 1
            default: return
            }
        }
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard position < count, base[position] == byte else { return false }
        position += 1
        return true
    }

    func unexpected(_ expected: String) -> JSONError {
        position < count
            ? .unexpectedByte(base[position], expected: expected, offset: position)
            : .unexpectedEnd(expected: expected, offset: position)
    }
}

/// The keys of one object so far, compared byte by byte: linear while there are few, hashed beyond.
private struct KeySet {
    private struct Key: Hashable {
        let text: String
        static func == (a: Key, b: Key) -> Bool { JSONValue.isSameKey(a.text, b.text) }
        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    private static let linearLimit = 12
    private var hashed: Set<Key> = []

    /// False if `members` or the set has the key already.
    mutating func insert(_ key: String, after members: [JSONMember]) -> Bool {
        if members.count < Self.linearLimit { return !members.contains { JSONValue.isSameKey($0.key, key) } }
        if hashed.isEmpty { for member in members { hashed.insert(Key(text: member.key)) } }
        return hashed.insert(Key(text: key)).inserted
    }
}

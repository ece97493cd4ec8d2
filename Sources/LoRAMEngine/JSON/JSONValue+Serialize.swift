extension JSONValue {
    /// The document as text, keys in their order. Compact is one line without spaces after separators; pretty indents by two.
    ///
    /// The same value always gives the same bytes: a double is written with the fewest digits that read back as itself, and as
    /// null if it is not finite (JSON has no such numbers).
    public func serialized(pretty: Bool = false) -> String {
        String(decoding: serializedBytes(pretty: pretty), as: UTF8.self)
    }

    public func serializedBytes(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(isPretty: pretty)
        writer.append(self, depth: 0)
        return writer.bytes
    }
}

private struct JSONWriter {
    let isPretty: Bool
    var bytes: [UInt8] = []

    mutating func append(_ value: JSONValue, depth: Int) {
        switch value {
        case .null: append("null")
        case .bool(let flag): append(flag ? "true" : "false")
        case .integer(let number): append(number.description)
        case .double(let number): append(number.isFinite ? number.description : "null")
        case .string(let text): appendQuoted(text)
        case .array(let elements):
            appendList(elements, open: "[", close: "]", depth: depth) { $0.append($1, depth: depth + 1) }
        case .object(let members):
            appendList(members, open: "{", close: "}", depth: depth) {
                $0.appendQuoted($1.key)
                $0.append($0.isPretty ? ": " : ":")
                $0.append($1.value, depth: depth + 1)
            }
        }
    }

    private mutating func appendList<Item>(
        _ items: [Item], open: String, close: String, depth: Int, _ appendItem: (inout JSONWriter, Item) -> Void
    ) {
        append(open)
        for (index, item) in items.enumerated() {
            if index > 0 { append(",") }
            newLine(depth + 1)
            appendItem(&self, item)
        }
        if !items.isEmpty { newLine(depth) }
        append(close)
    }

    private mutating func newLine(_ depth: Int) {
        guard isPretty else { return }
        bytes.append(0x0a)
        bytes.append(contentsOf: repeatElement(0x20, count: 2 * depth))
    }

    private mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func appendQuoted(_ text: String) {
        let hex = StaticString("0123456789abcdef").utf8Start
        bytes.append(0x22)
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5c:
                bytes.append(0x5c)
                bytes.append(byte)
            case 0x08: append("\\b")
            case 0x09: append("\\t")
            case 0x0a: append("\\n")
            case 0x0c: append("\\f")
            case 0x0d: append("\\r")
            case ..<0x20:
                append("\\u00")
                bytes.append(hex[Int(byte >> 4)])
                bytes.append(hex[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(0x22)
    }
}

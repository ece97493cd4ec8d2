/// A value of a recipe as written: YAML reduced to what recipes use, with the place it came from.
public struct RecipeNode: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        case null
        /// Text of a scalar. `quoted` ones are strings whatever they look like.
        case scalar(String, quoted: Bool)
        case list([RecipeNode])
        /// Keys are unique; their order is the file's.
        case map([Entry])
    }

    public struct Entry: Sendable, Equatable {
        public var key: String
        /// Where the key stands.
        public var place: String
        public var value: RecipeNode

        public init(_ key: String, place: String = "recipe", _ value: RecipeNode) {
            self.key = key
            self.place = place
            self.value = value
        }
    }

    public var content: Content
    /// `FILE:LINE`, or the override.
    public var place: String

    public init(_ content: Content, place: String = "recipe") {
        self.content = content
        self.place = place
    }

    /// A plain scalar: a number, a boolean or a word of ours.
    static func plain(_ text: String) -> RecipeNode { RecipeNode(.scalar(text, quoted: false)) }
    /// A string that a reader must take as one.
    static func string(_ text: String) -> RecipeNode { RecipeNode(.scalar(text, quoted: true)) }

    subscript(key: String) -> RecipeNode? {
        guard case .map(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// What stands here, for error messages: bounded, on one line.
    var summary: String {
        switch content {
        case .null: "null"
        case .scalar(let text, let quoted):
            quoted ? "the string \(Self.quote(String(text.prefix(60))))" : Self.oneLine(String(text.prefix(60)))
        case .list(let items): "a list of \(items.count)"
        case .map(let entries): entries.isEmpty ? "an empty section" : "a section with '\(Self.oneLine(String(entries[0].key.prefix(40))))'"
        }
    }

    /// The value on one line, the same for equal values: `[q_proj, k_proj]`, `{path: "a b", weight: 1.0}`.
    var canonicalText: String {
        switch content {
        case .null: "null"
        case .scalar(let text, let quoted): quoted && !Self.isPlainString(text) ? Self.quote(text) : text
        case .list(let items): "[" + items.map(\.canonicalText).joined(separator: ", ") + "]"
        case .map(let entries): "{" + entries.map { "\($0.key): \($0.value.canonicalText)" }.joined(separator: ", ") + "}"
        }
    }

    /// True where the bare text of a string cannot be mistaken for a number, a boolean, null or YAML syntax.
    static func isPlainString(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 200 else { return false }
        let isLetter = { (byte: UInt8) in (byte | 32) >= UInt8(ascii: "a") && (byte | 32) <= UInt8(ascii: "z") }
        guard isLetter(first) || first == UInt8(ascii: "/") || first == UInt8(ascii: "_") else { return false }
        let isSafe = text.utf8.allSatisfy { byte in
            isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "/_-.+".utf8.contains(byte)
        }
        let words: Set = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "infinity"]
        return isSafe && !words.contains(text.lowercased())
    }

    static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case "\r": quoted += "\\r"
            default:
                let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029
                if isControl {
                    let digits = String(scalar.value, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }

    /// Text for a message: control characters would let a file forge lines of our output.
    static func oneLine(_ text: String) -> String {
        text.unicodeScalars.contains { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) } ? quote(text) : text
    }
}

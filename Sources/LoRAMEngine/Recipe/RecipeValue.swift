/// A type that a recipe's key can have: reads itself from a node and writes itself back.
public protocol RecipeValue: Sendable, Equatable {
    /// Reads a new value. `key` is the full dotted key, for error messages.
    static func make(from node: RecipeNode, key: String) throws(RecipeError) -> Self
    /// Reads over an existing value; sections keep the keys that are not given.
    mutating func merge(_ node: RecipeNode, key: String) throws(RecipeError)
    var recipeNode: RecipeNode { get }
    /// Full dotted keys below this type.
    static func keyPaths(_ prefix: String) -> [String]
    /// (key, canonical text) of everything below this value that influences results.
    func resultEntries(_ prefix: String) -> [(key: String, value: String)]
}

extension RecipeValue {
    public mutating func merge(_ node: RecipeNode, key: String) throws(RecipeError) { self = try Self.make(from: node, key: key) }
    public static func keyPaths(_ prefix: String) -> [String] { [prefix] }
    public func resultEntries(_ prefix: String) -> [(key: String, value: String)] { [(prefix, recipeNode.canonicalText)] }
}

/// A value written as one YAML scalar.
public protocol RecipeScalar: RecipeValue {
    /// "an integer", for error messages.
    static var expectation: String { get }
    /// nil where the text is no such value.
    static func parse(_ text: String, quoted: Bool) -> Self?
}

extension RecipeScalar {
    public static func make(from node: RecipeNode, key: String) throws(RecipeError) -> Self {
        guard case .scalar(let text, let quoted) = node.content, let value = parse(text, quoted: quoted) else {
            throw .wrongType(key: key, expected: expectation, found: node.summary, place: node.place)
        }
        return value
    }
}

extension Int: RecipeScalar {
    public static var expectation: String { "an integer" }
    public static func parse(_ text: String, quoted: Bool) -> Int? { quoted ? nil : Int(text.replacing("_", with: "")) }
    public var recipeNode: RecipeNode { .plain(String(self)) }
}

extension UInt64: RecipeScalar {
    public static var expectation: String { "an integer from 0 to 2^64 - 1" }
    public static func parse(_ text: String, quoted: Bool) -> UInt64? { quoted ? nil : UInt64(text.replacing("_", with: "")) }
    public var recipeNode: RecipeNode { .plain(String(self)) }
}

extension Double: RecipeScalar {
    public static var expectation: String { "a number" }

    /// Decimal numbers only: `nan`, `inf` and hexadecimal floats are no settings.
    public static func parse(_ text: String, quoted: Bool) -> Double? {
        guard !quoted, text.utf8.allSatisfy({ "0123456789+-.eE_".utf8.contains($0) }) else { return nil }
        guard let value = Double(text.replacing("_", with: "")), value.isFinite else { return nil }
        return value
    }

    /// The shortest text that reads back as the same number, with a point so that every YAML reader takes it as a number.
    public var recipeNode: RecipeNode {
        let text = "\(self)"
        guard let e = text.firstIndex(of: "e"), !text.contains(".") else { return .plain(text) }
        return .plain(text[..<e] + ".0" + text[e...])
    }
}

extension Bool: RecipeScalar {
    public static var expectation: String { "true or false" }

    public static func parse(_ text: String, quoted: Bool) -> Bool? {
        if quoted { return nil }
        return switch text.lowercased() {
        case "true", "yes", "on": true
        case "false", "no", "off": false
        default: nil
        }
    }

    public var recipeNode: RecipeNode { .plain(self ? "true" : "false") }
}

extension String: RecipeScalar {
    public static var expectation: String { "a text" }
    public static func parse(_ text: String, quoted: Bool) -> String? { text.utf8.contains(0) ? nil : text }
    public var recipeNode: RecipeNode { .string(self) }
}

/// A word out of a fixed set. The raw values are the words.
public protocol RecipeWord: RecipeScalar, CaseIterable, RawRepresentable where RawValue == String {}

extension RecipeWord {
    public static var expectation: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }
    public static func parse(_ text: String, quoted: Bool) -> Self? { Self(rawValue: text) }
    public var recipeNode: RecipeNode { .string(rawValue) }
}

extension LinearSite: RecipeWord {}

extension Optional: RecipeValue where Wrapped: RecipeScalar {
    public static func make(from node: RecipeNode, key: String) throws(RecipeError) -> Wrapped? {
        if case .null = node.content { return nil }
        return try Wrapped.make(from: node, key: key)
    }

    public var recipeNode: RecipeNode { self?.recipeNode ?? RecipeNode(.null) }
}

extension Array: RecipeValue where Element: RecipeValue {
    public static func make(from node: RecipeNode, key: String) throws(RecipeError) -> [Element] {
        guard case .list(let items) = node.content else {
            throw .wrongType(key: key, expected: "a list", found: node.summary, place: node.place)
        }
        var values: [Element] = []
        for (index, item) in items.enumerated() {
            values.append(try Element.make(from: item, key: "\(key).\(index)"))
        }
        return values
    }

    public var recipeNode: RecipeNode { RecipeNode(.list(map(\.recipeNode))) }
}

/// A value that the program chooses unless it is given.
public enum Auto<Value: RecipeValue>: RecipeValue {
    case auto
    case value(Value)

    public static func make(from node: RecipeNode, key: String) throws(RecipeError) -> Auto<Value> {
        if case .scalar("auto", _) = node.content { return .auto }
        do throws(RecipeError) {
            return .value(try Value.make(from: node, key: key))
        } catch {
            guard case .wrongType(let failed, let expected, let found, let place) = error, failed == key else { throw error }
            throw .wrongType(key: key, expected: "auto or \(expected)", found: found, place: place)
        }
    }

    public var recipeNode: RecipeNode {
        switch self {
        case .auto: .plain("auto")
        case .value(let value): value.recipeNode
        }
    }

    /// nil for `auto`.
    public var given: Value? {
        if case .value(let value) = self { value } else { nil }
    }
}

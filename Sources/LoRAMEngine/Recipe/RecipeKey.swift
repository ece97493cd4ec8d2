/// One key of a recipe's section: its name, its field, its range, and whether training results depend on it. The one description
/// from which reading, writing, error messages and fingerprints follow.
public struct RecipeKey<Section: RecipeSection>: Sendable {
    public enum Influence: Sendable {
        /// Another value gives another model: a run cannot be resumed with it.
        case results
        /// Where and how the work is done, but not what comes out of it.
        case nothing
    }

    let name: String
    let isRequired: Bool
    let merge: @Sendable (inout Section, RecipeNode, String) throws(RecipeError) -> Void
    let node: @Sendable (Section) -> RecipeNode
    let keyPaths: @Sendable (String) -> [String]
    let resultEntries: @Sendable (Section, String) -> [(key: String, value: String)]

    init<Value: RecipeValue>(
        _ name: String, _ field: WritableKeyPath<Section, Value> & Sendable, _ range: RecipeRange<Value>? = nil,
        influences: Influence = .results, isRequired: Bool = false
    ) {
        self.name = name
        self.isRequired = isRequired
        merge = { (section, node, key) throws(RecipeError) in
            try section[keyPath: field].merge(node, key: key)
            if let range, !range.contains(section[keyPath: field]) {
                throw .outOfRange(key: key, expected: range.expectation, found: node.summary, place: node.place)
            }
        }
        node = { $0[keyPath: field].recipeNode }
        keyPaths = { Value.keyPaths($0) }
        resultEntries = { section, prefix in
            influences == .nothing ? [] : section[keyPath: field].resultEntries(prefix)
        }
    }
}

/// A group of keys: a YAML mapping.
public protocol RecipeSection: RecipeValue {
    /// All defaults.
    init()
    static var keys: [RecipeKey<Self>] { get }
}

extension RecipeSection {
    public static func make(from node: RecipeNode, key: String) throws(RecipeError) -> Self {
        var section = Self()
        try section.merge(node, key: key)
        return section
    }

    public mutating func merge(_ node: RecipeNode, key prefix: String) throws(RecipeError) {
        let entries: [RecipeNode.Entry]
        switch node.content {
        case .null: entries = []  // `batch:` with nothing below it
        case .map(let given): entries = given
        default:
            throw .wrongType(
                key: prefix.isEmpty ? "the recipe" : prefix, expected: "a section of keys (\(Self.keys.map(\.name).joined(separator: ", ")))",
                found: node.summary, place: node.place)
        }
        let keys = Self.keys
        for entry in entries {
            let path = Self.join(prefix, entry.key)
            guard let key = keys.first(where: { $0.name == entry.key }) else {
                throw .unknownKey(
                    key: RecipeNode.oneLine(String(path.prefix(120))), nearest: Self.nearest(to: entry.key, prefix: prefix), place: entry.place)
            }
            try key.merge(&self, entry.value, path)
        }
        for key in keys where key.isRequired && !entries.contains(where: { $0.key == key.name }) {
            throw .missing(key: Self.join(prefix, key.name), reason: "\(node.place) needs it")
        }
    }

    public var recipeNode: RecipeNode {
        RecipeNode(.map(Self.keys.map { RecipeNode.Entry($0.name, $0.node(self)) }))
    }

    public static func keyPaths(_ prefix: String) -> [String] {
        keys.flatMap { $0.keyPaths(join(prefix, $0.name)) }
    }

    public func resultEntries(_ prefix: String) -> [(key: String, value: String)] {
        Self.keys.flatMap { $0.resultEntries(self, Self.join(prefix, $0.name)) }
    }

    /// A similar key of this section, else a key of that name elsewhere in the recipe, else the least dissimilar of this section.
    private static func nearest(to name: String, prefix: String) -> String {
        let names = keys.map(\.name)
        if let similar = NearestName.findSimilar(name, among: names) { return join(prefix, similar) }
        let lastName = { (path: String) in path.split(separator: ".").last.map(String.init) ?? path }
        let elsewhere = Recipe.keyPaths("").filter { lastName($0) == name }
        if let shortest = elsewhere.min(by: { $0.utf8.count < $1.utf8.count }) { return shortest }
        return join(prefix, NearestName.find(name, among: names) ?? "")
    }

    static func join(_ prefix: String, _ name: String) -> String { prefix.isEmpty ? name : "\(prefix).\(name)" }
}

/// The values a key accepts beyond its type.
public struct RecipeRange<Value: Sendable>: Sendable {
    /// "at least 1", for error messages.
    let expectation: String
    let contains: @Sendable (Value) -> Bool

    init(_ expectation: String, _ contains: @escaping @Sendable (Value) -> Bool) {
        self.expectation = expectation
        self.contains = contains
    }
}

extension RecipeRange where Value: Comparable {
    static func atLeast(_ bound: Value) -> RecipeRange { RecipeRange("at least \(bound)") { $0 >= bound } }
    static func within(_ range: ClosedRange<Value>) -> RecipeRange {
        RecipeRange("from \(range.lowerBound) to \(range.upperBound)") { range.contains($0) }
    }
    static func above(_ bound: Value) -> RecipeRange { RecipeRange("greater than \(bound)") { $0 > bound } }
    /// From a bound, below another.
    static func within(_ range: Range<Value>) -> RecipeRange {
        RecipeRange("at least \(range.lowerBound) and less than \(range.upperBound)") { range.contains($0) }
    }
}

extension RecipeRange {
    /// null, or a value in the range.
    static func ifGiven<Wrapped>(_ range: RecipeRange<Wrapped>) -> RecipeRange where Value == Wrapped? {
        RecipeRange("null or \(range.expectation)") { $0.map(range.contains) ?? true }
    }

    /// `auto`, or a value in the range.
    static func unlessAuto<Wrapped>(_ range: RecipeRange<Wrapped>) -> RecipeRange where Value == Auto<Wrapped> {
        RecipeRange("auto or \(range.expectation)") { $0.given.map(range.contains) ?? true }
    }

    static func each<Element>(_ range: RecipeRange<Element>) -> RecipeRange where Value == [Element] {
        RecipeRange("values that are each \(range.expectation)") { $0.allSatisfy(range.contains) }
    }
}

extension RecipeRange where Value == String {
    static var notEmpty: RecipeRange { RecipeRange("a text that is not empty") { !$0.isEmpty } }
}

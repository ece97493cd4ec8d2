import Yams

extension RecipeNode {
    /// Largest recipe file that is read.
    static let maxFileBytes = 4 << 20
    /// Most values in one recipe. A few nested aliases could stand for billions.
    static let maxNodeCount = 100_000

    /// Parses one YAML document; an empty one is an empty section.
    ///
    /// - Parameter name: the file's name, or the override, for error messages.
    static func parse(yaml: String, name: String, linesMatter: Bool = true) throws(RecipeError) -> RecipeNode {
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml)
        } catch let error as YamlError {
            throw Self.translate(error, name: name, linesMatter: linesMatter)
        } catch {
            throw .syntax(place: name, problem: oneLine("\(error)"))
        }
        guard let node else { return RecipeNode(.null, place: name) }
        var count = 0
        return try convert(node, name: linesMatter ? { "\(name):\($0)" } : { _ in name }, depth: 0, count: &count)
    }

    /// Reads a file of UTF-8 YAML.
    static func parse(file path: String) throws(RecipeError) -> RecipeNode {
        let bytes: [UInt8]
        do {
            bytes = try FileSystem.read(path, limit: maxFileBytes)
        } catch {
            throw .unreadable(reason: "\(error)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .unreadable(reason: "cannot read \(path): expected UTF-8 text, found other bytes")
        }
        return try parse(yaml: text, name: path)
    }

    /// The document in block style, two spaces an indent, keys in their order.
    func yaml() throws(RecipeError) -> String {
        do {
            return try Yams.serialize(node: yamsNode(), width: -1, allowUnicode: true)
        } catch {
            throw .syntax(place: "resolved recipe", problem: Self.oneLine("\(error)"))
        }
    }

    private static func convert(
        _ node: Node, name: (Int) -> String, depth: Int, count: inout Int
    ) throws(RecipeError) -> RecipeNode {
        let place = name(node.mark?.line ?? 1)
        count += 1
        if count > maxNodeCount { throw .syntax(place: place, problem: "more than \(maxNodeCount) values") }
        if depth > 64 { throw .syntax(place: place, problem: "nested deeper than 64 levels") }
        switch node {
        case .scalar(let scalar):
            let quoted = scalar.style != .plain && scalar.style != .any
            if !quoted, ["", "~", "null", "Null", "NULL"].contains(scalar.string) { return RecipeNode(.null, place: place) }
            return RecipeNode(.scalar(scalar.string, quoted: quoted), place: place)
        case .sequence(let sequence):
            var items: [RecipeNode] = []
            for item in sequence { items.append(try convert(item, name: name, depth: depth + 1, count: &count)) }
            return RecipeNode(.list(items), place: place)
        case .mapping(let mapping):
            var entries: [Entry] = []
            var seen: Set<String> = []
            for (key, value) in mapping {
                let keyPlace = name(key.mark?.line ?? 1)
                guard case .scalar(let scalar) = key else { throw .syntax(place: keyPlace, problem: "a key must be a word") }
                guard seen.insert(scalar.string).inserted else { throw .duplicateKey(key: oneLine(scalar.string), place: keyPlace) }
                entries.append(
                    Entry(scalar.string, place: keyPlace, try convert(value, name: name, depth: depth + 1, count: &count)))
            }
            return RecipeNode(.map(entries), place: place)
        case .alias:
            throw .syntax(place: place, problem: "an alias without its anchor")
        }
    }

    private static func translate(_ error: YamlError, name: String, linesMatter: Bool) -> RecipeError {
        func place(_ mark: Mark) -> String { linesMatter ? "\(name):\(mark.line)" : name }
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let text = context.map { "\($0.text) \(problem)" } ?? problem
            return .syntax(place: place(mark), problem: oneLine(text.split(whereSeparator: \.isWhitespace).joined(separator: " ")))
        case .reader(let problem, let offset, _, _):
            return .syntax(place: name, problem: oneLine(problem) + (offset.map { " at byte \($0)" } ?? ""))
        case .duplicatedKeysInMapping(let duplicates, let context):
            return .duplicateKey(key: oneLine(String(duplicates.first?.prefix(60) ?? "")), place: place(context.mark))
        default:
            return .syntax(place: name, problem: "the parser gave up")
        }
    }

    private func yamsNode() -> Node {
        switch content {
        case .null: return Node("null", .implicit, .plain)
        case .scalar(let text, let quoted):
            return quoted && !Self.isPlainString(text) ? Node(text, Tag(.str), .doubleQuoted) : Node(text, .implicit, .plain)
        case .list(let items):
            let isFlat = items.allSatisfy { if case .scalar = $0.content { true } else { false } }
            return .sequence(.init(items.map { $0.yamsNode() }, .implicit, isFlat ? .flow : .block))
        case .map(let entries):
            return .mapping(.init(entries.map { (Node($0.key, .implicit, .plain), $0.value.yamsNode()) }, .implicit, entries.isEmpty ? .flow : .block))
        }
    }
}

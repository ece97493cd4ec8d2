extension RecipeNode {
    /// Applies one `a.b=value` of `--set`. The value is YAML (`0.001`, `[q_proj, v_proj]`, `{path: x}`); a number in the path is an
    /// index into a list that the recipe has (`data.train.0.weight=2`).
    mutating func apply(override text: String) throws(RecipeError) {
        guard let equals = text.firstIndex(of: "=") else {
            throw .badOverride(text: Self.oneLine(text), reason: "expected KEY=VALUE, such as optimizer.learning_rate=1e-4")
        }
        let path = text[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard path.allSatisfy({ !$0.isEmpty }), path.count <= 16 else {
            throw .badOverride(text: Self.oneLine(text), reason: "expected a key such as optimizer.learning_rate before '='")
        }
        let place = "--set \(Self.oneLine(String(text.prefix(120))))"
        let value = try Self.parse(yaml: String(text[text.index(after: equals)...]), name: place, linesMatter: false)
        try set(path[...], to: value, place: place, text: text)
    }

    private mutating func set(_ path: ArraySlice<String>, to value: RecipeNode, place: String, text: String) throws(RecipeError) {
        guard let key = path.first else {
            self = value
            return
        }
        switch content {
        case .null:
            var child = RecipeNode(.null, place: place)
            try child.set(path.dropFirst(), to: value, place: place, text: text)
            self = RecipeNode(.map([Entry(key, place: place, child)]), place: place)
        case .map(var entries):
            content = .null  // keeps `entries` unique, so that it is changed in place
            if let index = entries.firstIndex(where: { $0.key == key }) {
                entries[index].place = place
                try entries[index].value.set(path.dropFirst(), to: value, place: place, text: text)
            } else {
                var child = RecipeNode(.null, place: place)
                try child.set(path.dropFirst(), to: value, place: place, text: text)
                entries.append(Entry(key, place: place, child))
            }
            content = .map(entries)
        case .list(var items):
            guard let index = Int(key), items.indices.contains(index) else {
                throw .badOverride(
                    text: Self.oneLine(text), reason: "'\(Self.oneLine(key))' is no index into a list of \(items.count); they count from 0")
            }
            try items[index].set(path.dropFirst(), to: value, place: place, text: text)
            content = .list(items)
        case .scalar:
            throw .badOverride(text: Self.oneLine(text), reason: "there is no section to hold '\(Self.oneLine(key))': found \(summary)")
        }
    }
}

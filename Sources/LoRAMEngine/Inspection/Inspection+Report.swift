extension Inspection {
    /// The report as JSON, for `--json`.
    public var json: JSONValue {
        var report: JSONValue = ["path": .string(path), "kind": .string(kind.rawValue)]
        if let parameterCount { report["parameters"] = .integer(parameterCount) }
        if let config { report["config"] = Self.summary(config) }
        for member in details { report[member.key] = member.value }
        if let plan { report["plan"] = plan }
        if let problem { report["problem"] = .string(problem) }
        if !metadata.isEmpty { report["metadata"] = .object(metadata.map { JSONMember($0.key, .string($0.value)) }) }
        if !tensors.isEmpty {
            report["tensor_count"] = .integer(tensors.count)
            report["tensor_bytes"] = .integer(byteCount)
            report["tensors"] = .array(
                tensors.map { tensor in
                    [
                        "name": .string(tensor.info.name),
                        "dtype": .string(tensor.info.dtype.rawValue),
                        "shape": .array(tensor.info.shape.map { .integer($0) }),
                        "bytes": .integer(tensor.info.byteCount),
                        "file": .string(tensor.file),
                    ]
                })
        }
        return report
    }

    /// Bytes of all tensors.
    public var byteCount: Int { tensors.reduce(0) { $0 + $1.info.byteCount } }

    private static func summary(_ config: LlamaConfig) -> JSONValue {
        func perLayer(_ value: (LayerGeometry) -> Int) -> JSONValue {
            let values = config.layers.map(value)
            let isUniform = values.allSatisfy { $0 == values[0] }
            return isUniform ? .integer(values[0]) : .array(values.map { .integer($0) })
        }
        return [
            "layers": .integer(config.layerCount),
            "hidden_size": .integer(config.hiddenSize),
            "heads": perLayer(\.headCount),
            "key_value_heads": perLayer(\.keyValueHeadCount),
            "head_dim": .integer(config.headDim),
            "intermediate_size": perLayer(\.intermediateSize),
            "vocabulary": .integer(config.vocabularySize),
            "positions": .integer(config.maxPositionCount),
            "rope_theta": .double(config.rope.theta),
            "rope_scaling": config.rope.scaling == nil ? "none" : "llama3",
            "tied": .bool(config.tiesWordEmbeddings),
            "dtype": .string(config.dtype.rawValue),
        ]
    }
}

extension Inspection: CustomStringConvertible {
    /// Facts as `name  value` lines, then one line a tensor.
    public var description: String {
        var facts: [(String, String)] = [("path", path), ("kind", kind.rawValue)]
        if let parameterCount { facts.append(("parameters", Formatting.grouped(parameterCount))) }
        if let config {
            for member in Self.summary(config).objectMembers ?? [] { facts.append((member.key, Self.text(member.value))) }
        }
        for member in details { facts.append((member.key, Self.text(member.value))) }
        for member in plan?.objectMembers ?? [] { facts.append(("plan: \(member.key)", Self.text(member.value))) }
        for member in metadata { facts.append(("metadata: \(member.key)", member.value)) }
        if !tensors.isEmpty {
            facts.append(("tensors", Formatting.grouped(tensors.count)))
            facts.append(("tensor bytes", Formatting.grouped(byteCount)))
        }
        if let problem { facts.append(("problem", problem)) }
        let width = facts.map(\.0.count).max() ?? 0
        var lines = facts.map { Formatting.padded($0.0, to: width) + "  " + $0.1.singleLine }
        if !tensors.isEmpty {
            lines.append("")
            lines += Self.table(tensors)
        }
        return lines.joined(separator: "\n")
    }

    private static func table(_ tensors: [Tensor]) -> [String] {
        let rows =
            [["tensor", "type", "shape", "bytes", "file"]]
            + tensors.map { tensor in
                [
                    tensor.info.name.singleLine, tensor.info.dtype.rawValue,
                    tensor.info.shape.isEmpty ? "scalar" : tensor.info.shape.map(String.init).joined(separator: " x "),
                    Formatting.grouped(tensor.info.byteCount), tensor.file,
                ]
            }
        return Formatting.table(rows, flushRight: [3])
    }

    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text
        case .array(let elements): elements.map(text).joined(separator: " ")
        default: value.serialized()
        }
    }
}

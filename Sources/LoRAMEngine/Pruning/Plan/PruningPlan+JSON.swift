extension PruningPlan {
    static let formatVersion = 1
    /// Indices of 80 layers with 28672 channels take about 14 MB.
    static let maxFileBytes = 512 << 20

    /// The contents of pruning_plan.json; the same bytes for equal plans.
    public func serialized() -> String {
        let json: JSONValue = [
            "format_version": .integer(Self.formatVersion),
            "method": .string(method),
            "ratio": .double(ratio),
            // JSON readers lose the low bits of larger numbers.
            "seed": seed <= 1 << 53 ? .integer(Int(seed)) : .string(String(seed)),
            "keep_first": .integer(keepFirst),
            "keep_last": .integer(keepLast),
            "source_config_sha256": .string(sourceConfigHash),
            "source": [
                "num_hidden_layers": .integer(layers.count),
                "num_attention_heads": .integer(sourceGeometry.headCount),
                "num_key_value_heads": .integer(sourceGeometry.keyValueHeadCount),
                "intermediate_size": .integer(sourceGeometry.intermediateSize),
                "head_dim": .integer(headDim),
            ],
            "layers": .array(
                layers.map { layer in
                    [
                        "kept_key_value_heads": .array(layer.keyValueHeads.map { .integer($0) }),
                        "kept_channels": .array(layer.channels.map { .integer($0) }),
                    ]
                }),
        ]
        return json.serialized() + "\n"
    }

    /// SHA-256 of `serialized()`, by which an adapter remembers its plan.
    public var hash: String { ContentHash.sha256(serialized()) }

    /// Reads the plan beside a pruned checkpoint; nil where there is none, as beside a whole model.
    ///
    /// - Throws: as `init(path:)`.
    public static func beside(checkpoint directory: String) throws -> PruningPlan? {
        let path = "\(directory)/\(fileName)"
        return FilePath.exists(path) ? try PruningPlan(path: path) : nil
    }

    /// Reads and checks a plan: all keys, and that indices ascend, differ and lie within the model.
    ///
    /// - Throws: `PruningError.badPlan`, `FileError`.
    public init(path: String) throws {
        let bytes = try FileSystem.read(path, limit: Self.maxFileBytes)
        try self.init(json: bytes, path: path)
    }

    /// - Parameter path: named in errors.
    public init(json bytes: [UInt8], path: String) throws {
        let document: JSONValue
        do {
            document = try JSONValue.parse(bytes)
        } catch let error as JSONError {
            throw PruningError.badPlan(path: path, item: "content", expected: "JSON", found: error.description)
        }
        let fields = PlanFields(path: path, object: document)
        let version = try fields.integer("format_version", in: 0...Int.max)
        guard version == Self.formatVersion else {
            throw fields.bad("format_version", expected: "\(Self.formatVersion), which this program reads", found: "\(version)")
        }
        let method = try fields.string("method")
        guard PruningRecipe.Method(rawValue: method)?.isStructured == true else {
            throw fields.bad("method", expected: "rand or stru", found: method.prefix(40).debugDescription)
        }
        guard let ratio = document["ratio"]?.doubleValue, (0..<1).contains(ratio) else {
            throw fields.bad("ratio", expected: "a number of at least 0 and less than 1", found: fields.text("ratio"))
        }
        guard let seed = document["seed"]?.intValue.flatMap(UInt64.init(exactly:)) ?? document["seed"]?.stringValue.flatMap({ UInt64($0) }) else {
            throw fields.bad("seed", expected: "an integer from 0 to 2^64 - 1", found: fields.text("seed"))
        }
        let hash = try fields.string("source_config_sha256")
        guard ContentHash.isSHA256(hash) else {
            throw fields.bad("source_config_sha256", expected: "64 hexadecimal digits", found: hash.prefix(80).debugDescription)
        }

        let source = PlanFields(path: path, object: document["source"] ?? .null, prefix: "source.")
        let layerCount = try source.integer("num_hidden_layers", in: 1...4096)
        let geometry = LayerGeometry(
            headCount: try source.integer("num_attention_heads", in: 1...65536),
            keyValueHeadCount: try source.integer("num_key_value_heads", in: 1...65536),
            intermediateSize: try source.integer("intermediate_size", in: 1...(1 << 24)))
        guard geometry.headCount % geometry.keyValueHeadCount == 0 else {
            throw fields.bad(
                "source.num_attention_heads", expected: "a multiple of num_key_value_heads (\(geometry.keyValueHeadCount))",
                found: "\(geometry.headCount)")
        }
        guard let elements = document["layers"]?.arrayValue, elements.count == layerCount else {
            throw fields.bad("layers", expected: "a list of \(layerCount), one a layer", found: fields.text("layers"))
        }
        var layers: [Layer] = []
        for (index, element) in elements.enumerated() {
            let layer = PlanFields(path: path, object: element, prefix: "layers[\(index)].")
            layers.append(
                Layer(
                    keyValueHeads: try layer.kept("kept_key_value_heads", of: geometry.keyValueHeadCount),
                    channels: try layer.kept("kept_channels", of: geometry.intermediateSize)))
        }
        self.init(
            method: method, ratio: ratio, seed: seed, keepFirst: try fields.integer("keep_first", in: 0...layerCount),
            keepLast: try fields.integer("keep_last", in: 0...layerCount), sourceConfigHash: hash, sourceGeometry: geometry,
            headDim: try source.integer("head_dim", in: 1...65536), layers: layers)
    }
}

/// Typed reading of a plan's members.
private struct PlanFields {
    let path: String
    let object: JSONValue
    var prefix = ""

    func bad(_ key: String, expected: String, found: String) -> PruningError {
        .badPlan(path: path, item: prefix + key, expected: expected, found: found)
    }

    /// A member as it stands, if it is short.
    func text(_ key: String) -> String {
        guard let value = object[key] else { return "nothing" }
        if let elements = value.arrayValue { return "a list of \(elements.count)" }
        let text = value.serialized()
        return text.utf8.count <= 80 ? text : value.kindDescription
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int {
        guard let value = object[key]?.intValue, range.contains(value) else {
            throw bad(key, expected: "an integer from \(range.lowerBound) to \(range.upperBound)", found: text(key))
        }
        return value
    }

    func string(_ key: String) throws -> String {
        guard let value = object[key]?.stringValue else { throw bad(key, expected: "a string", found: text(key)) }
        return value
    }

    /// Indices that ascend, differ and lie in 0 ..< count.
    func kept(_ key: String, of count: Int) throws -> [Int] {
        guard let elements = object[key]?.arrayValue, !elements.isEmpty else {
            throw bad(key, expected: "a list of at least one index", found: text(key))
        }
        var indices: [Int] = []
        indices.reserveCapacity(min(elements.count, count))
        var previous = -1
        for (position, element) in elements.enumerated() {
            guard let index = element.intValue, index > previous, index < count else {
                throw bad(
                    "\(key)[\(position)]", expected: "an index above \(previous) and below \(count)",
                    found: element.intValue.map(String.init) ?? element.kindDescription)
            }
            indices.append(index)
            previous = index
        }
        return indices
    }
}

extension LlamaConfig {
    /// Model types of config.json that are read: an ordinary Llama and one that was structurally pruned.
    public static let modelType = "llama"
    public static let prunedModelType = "loram_llama"

    /// Bounds beyond any model, that keep all sizes computed from them far from overflow.
    private enum Limit {
        static let width = 1...1 << 20
        static let intermediate = 1...1 << 24
        static let vocabulary = 1...1 << 24
        static let layers = 1...1 << 12
        static let heads = 1...1 << 14
        static let positions = 1...1 << 30
        static let tokenID = 0...Int(Int32.max)
        static let parameters = 1 << 48
    }

    /// Reads config.json in the spelling of transformers 4 (`rope_theta`, `rope_scaling`, `torch_dtype`) or 5 (`rope_parameters`,
    /// `dtype`). Absent keys get transformers' defaults, except for the RoPE base, which must be there.
    ///
    /// - Throws: `FileError`, `ConfigError`.
    public init(file path: String) throws {
        try self.init(ConfigFields(file: path))
    }

    /// - Parameter path: named in errors.
    public init(json: JSONValue, path: String) throws {
        guard case .object = json else {
            throw ConfigError.invalid(path: path, key: "the document", expected: "an object", found: json.kindDescription)
        }
        try self.init(ConfigFields(json, path: path))
    }

    private init(_ fields: ConfigFields) throws {
        let modelType = try fields.optionalString("model_type")
        guard modelType == Self.modelType || modelType == Self.prunedModelType else {
            throw ConfigError.unsupported(
                path: fields.path, key: "model_type", supported: "\(Self.modelType) or \(Self.prunedModelType)",
                found: modelType ?? "none")
        }
        try Self.refuseUnsupported(fields)
        let hidden = try fields.int("hidden_size", in: Limit.width)
        let layers = try Self.layers(fields, isPruned: modelType == Self.prunedModelType)
        self.init(
            hiddenSize: hidden,
            vocabularySize: try fields.int("vocab_size", in: Limit.vocabulary),
            headDim: try Self.headDim(fields, hidden: hidden, isPruned: modelType == Self.prunedModelType),
            maxPositionCount: try fields.optionalInt("max_position_embeddings", in: Limit.positions) ?? 2048,
            layers: layers,
            rmsNormEpsilon: try fields.optionalPositive("rms_norm_eps", atMost: 1) ?? 1e-6,
            rope: try RoPEConfig(fields, positions: Limit.positions),
            tiesWordEmbeddings: try fields.optionalBool("tie_word_embeddings") ?? false,
            dtype: try Self.dtype(fields),
            bosTokenID: fields.object["bos_token_id"] == nil ? 1 : try fields.optionalInt("bos_token_id", in: Limit.tokenID),
            eosTokenIDs: try Self.eosTokenIDs(fields))
        // The bounds above keep this product within 2^63.
        guard parameterCount <= Limit.parameters else {
            throw ConfigError.invalid(
                path: fields.path, key: "the model's sizes", expected: "at most \(Limit.parameters) parameters in all",
                found: "\(parameterCount)")
        }
    }

    private static func refuseUnsupported(_ fields: ConfigFields) throws {
        for key in ["attention_bias", "mlp_bias"] where try fields.optionalBool(key) == true {
            throw ConfigError.unsupported(path: fields.path, key: key, supported: "false", found: "true")
        }
        // "swish" is transformers' other name of the same function.
        if let activation = try fields.optionalString("hidden_act"), activation != "silu", activation != "swish" {
            throw ConfigError.unsupported(path: fields.path, key: "hidden_act", supported: "silu", found: activation)
        }
    }

    private static func layers(_ fields: ConfigFields, isPruned: Bool) throws -> [LayerGeometry] {
        let count = try fields.int("num_hidden_layers", in: Limit.layers)
        let heads = try perLayer("num_attention_heads", fields, in: Limit.heads, count: count, mayBeList: isPruned)
        let widths = try perLayer("intermediate_size", fields, in: Limit.intermediate, count: count, mayBeList: isPruned)
        let keyValueHeads =
            fields.value("num_key_value_heads") == nil
            ? heads : try perLayer("num_key_value_heads", fields, in: Limit.heads, count: count, mayBeList: isPruned)
        return try (0..<count).map { layer in
            guard heads[layer] % keyValueHeads[layer] == 0 else {
                throw ConfigError.invalid(
                    path: fields.path, key: "num_attention_heads of layer \(layer)",
                    expected: "a multiple of num_key_value_heads (\(keyValueHeads[layer]))", found: "\(heads[layer])")
            }
            return LayerGeometry(
                headCount: heads[layer], keyValueHeadCount: keyValueHeads[layer], intermediateSize: widths[layer])
        }
    }

    /// One value a layer, from a list or from one number for all.
    private static func perLayer(
        _ key: String, _ fields: ConfigFields, in range: ClosedRange<Int>, count: Int, mayBeList: Bool
    ) throws -> [Int] {
        guard mayBeList, case .array(let elements)? = fields.value(key) else {
            return Array(repeating: try fields.int(key, in: range), count: count)
        }
        guard elements.count == count else {
            throw ConfigError.invalid(
                path: fields.path, key: key, expected: "\(count) entries, one a layer", found: "\(elements.count)")
        }
        return try elements.enumerated().map { layer, element in
            guard let number = element.intValue, range.contains(number) else {
                throw fields.invalid(
                    "\(key) of layer \(layer)", expected: "an integer from \(range.lowerBound) to \(range.upperBound)", found: element)
            }
            return number
        }
    }

    private static func headDim(_ fields: ConfigFields, hidden: Int, isPruned: Bool) throws -> Int {
        let headDim: Int
        if let given = try fields.optionalInt("head_dim", in: Limit.heads) {
            headDim = given
        } else {
            guard !isPruned else { throw fields.missing("head_dim", hint: "a pruned model's head_dim follows from nothing else") }
            let heads = try fields.int("num_attention_heads", in: Limit.heads)
            guard hidden % heads == 0 else {
                throw ConfigError.invalid(
                    path: fields.path, key: "hidden_size", expected: "a multiple of num_attention_heads (\(heads)) where head_dim is absent",
                    found: "\(hidden)")
            }
            headDim = hidden / heads
        }
        guard headDim % 2 == 0 else {
            throw ConfigError.invalid(
                path: fields.path, key: "head_dim", expected: "an even number, since RoPE turns pairs", found: "\(headDim)")
        }
        return headDim
    }

    private static func dtype(_ fields: ConfigFields) throws -> DType {
        let new = try fields.optionalString("dtype")
        let old = try fields.optionalString("torch_dtype")
        // transformers' default for a file that names none.
        guard let name = new ?? old else { return .f32 }
        guard let dtype = DType(torchName: name) else {
            throw ConfigError.unsupported(
                path: fields.path, key: new == nil ? "torch_dtype" : "dtype", supported: "float32, float16 or bfloat16", found: name)
        }
        if let new, let old, DType(torchName: old) != dtype {
            throw ConfigError.conflicting(path: fields.path, keys: "dtype and torch_dtype", first: new, second: old)
        }
        return dtype
    }

    private static func eosTokenIDs(_ fields: ConfigFields) throws -> [Int] {
        guard let value = fields.object["eos_token_id"] else { return [2] }
        guard case .array(let elements) = value else {
            return try fields.optionalInt("eos_token_id", in: Limit.tokenID).map { [$0] } ?? []
        }
        return try elements.map { element in
            guard let id = element.intValue, Limit.tokenID.contains(id) else {
                throw fields.invalid("eos_token_id", expected: "an integer, a list of integers or null", found: value)
            }
            return id
        }
    }
}

extension RoPEConfig {
    /// Both spellings; a file that has both must say the same in both.
    fileprivate init(_ fields: ConfigFields, positions: ClosedRange<Int>) throws {
        let new = try fields.optionalFields("rope_parameters")
        let old = try fields.optionalFields("rope_scaling")
        let newTheta = try new?.optionalPositive("rope_theta", atMost: 1e15)
        let oldTheta = try fields.optionalPositive("rope_theta", atMost: 1e15)
        guard let theta = newTheta ?? oldTheta else {
            throw fields.missing(
                new == nil ? "rope_theta" : "rope_parameters.rope_theta", hint: "take it from the model's original config.json")
        }
        if let oldTheta, oldTheta != theta {
            throw ConfigError.conflicting(
                path: fields.path, keys: "rope_parameters.rope_theta and rope_theta", first: "\(theta)", second: "\(oldTheta)")
        }
        let scalings = try [new, old].compactMap { $0 }.map { source in
            try Self.refusePartialRotation(source)
            return try Llama3Scaling(ropeFields: source, positions: positions)
        }
        try Self.refusePartialRotation(fields)
        if scalings.count == 2, scalings[0] != scalings[1] {
            throw ConfigError.conflicting(
                path: fields.path, keys: "rope_parameters and rope_scaling", first: "one scaling", second: "another")
        }
        self.init(theta: theta, scaling: scalings.first ?? nil)
    }

    private static func refusePartialRotation(_ fields: ConfigFields) throws {
        let key = "partial_rotary_factor"
        guard let value = fields.value(key), value.doubleValue != 1 else { return }
        throw ConfigError.unsupported(path: fields.path, key: fields.prefix + key, supported: "1", found: value.serialized())
    }
}

extension RoPEConfig.Llama3Scaling {
    /// nil for the type `default`.
    fileprivate init?(ropeFields fields: ConfigFields, positions: ClosedRange<Int>) throws {
        let key = fields.value("rope_type") == nil ? "type" : "rope_type"
        switch try fields.optionalString(key) {
        case nil:
            // transformers 5 writes rope_parameters without a type only for plain RoPE; a scaling without a type says nothing.
            guard fields.value("factor") == nil else {
                throw fields.missing("rope_type", hint: "it says what factor stands for")
            }
            return nil
        case "default": return nil
        case "llama3": break
        case let type?:
            throw ConfigError.unsupported(path: fields.path, key: fields.prefix + key, supported: "default or llama3", found: type)
        }
        func factor(_ key: String) throws -> Double {
            guard let value = try fields.optionalPositive(key, atMost: 1e6) else { throw fields.missing(key) }
            return value
        }
        self.init(
            factor: try factor("factor"),
            lowFrequencyFactor: try factor("low_freq_factor"),
            highFrequencyFactor: try factor("high_freq_factor"),
            originalMaxPositionCount: try fields.int("original_max_position_embeddings", in: positions))
        guard highFrequencyFactor > lowFrequencyFactor else {
            throw ConfigError.invalid(
                path: fields.path, key: fields.prefix + "high_freq_factor", expected: "more than low_freq_factor (\(lowFrequencyFactor))",
                found: "\(highFrequencyFactor)")
        }
    }
}

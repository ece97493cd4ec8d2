/// The checked contents of adapter_config.json.
struct AdapterSettings {
    let path: String
    let configuration: JSONValue
    let rank: Int
    let alpha: Double
    let dropout: Double
    let isRankStabilized: Bool
    let baseModel: String?
    /// nil where `target_modules` is a pattern or "all-linear".
    let listedTargets: [LinearSite]?

    /// - Throws: `FileError`, `AdapterError`.
    init(file path: String) throws {
        let json: JSONValue
        do {
            json = try JSONValue.parse(contentsOf: path)
        } catch let error as JSONError {
            throw AdapterError.notJSON(path: path, error)
        }
        guard case .object = json else {
            throw AdapterError.invalid(path: path, key: "the document", expected: "an object", found: json.kindDescription)
        }
        self.path = path
        configuration = json
        try Self.refuseUnsupported(json, path: path)

        rank = try Self.required("r", in: json, path: path, expected: "an integer from 1 to 65536") {
            $0.intValue.flatMap { (1...65536).contains($0) ? $0 : nil }
        }
        alpha = try Self.required("lora_alpha", in: json, path: path, expected: "a number of magnitude up to 1e9") {
            $0.doubleValue.flatMap { abs($0) <= 1e9 ? $0 : nil }
        }
        dropout = try Self.value("lora_dropout", in: json, path: path, expected: "a number from 0 to below 1") {
            $0.doubleValue.flatMap { (0..<1).contains($0) ? $0 : nil }
        } ?? 0
        isRankStabilized = try Self.value("use_rslora", in: json, path: path, expected: "true or false", \.boolValue) ?? false
        baseModel = try Self.value("base_model_name_or_path", in: json, path: path, expected: "a string", \.stringValue)
        listedTargets = try Self.targets(json, path: path)
    }

    /// Everything that changes the computation and that we have not. Settings at their neutral value pass.
    private static func refuseUnsupported(_ json: JSONValue, path: String) throws {
        func refuse(_ key: String, _ supported: String, _ value: JSONValue?) -> AdapterError {
            .unsupported(path: path, key: key, supported: supported, found: value?.serialized() ?? "none")
        }
        guard json["peft_type"] == "LORA" else { throw refuse("peft_type", "LORA", json["peft_type"]) }
        for key in ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora"] {
            guard let value = json[key], !value.isNull, value != false else { continue }
            throw refuse(key, "false", value)
        }
        if let bias = json["bias"], !bias.isNull, bias != "none" { throw refuse("bias", "none", bias) }
        for key in [
            "rank_pattern", "alpha_pattern", "modules_to_save", "target_parameters", "trainable_token_indices", "layer_replication",
            "alora_invocation_tokens", "arrow_config", "kasa_config", "monteclora_config", "use_bdlora",
        ] {
            switch json[key] {
            case nil, .null?, false?, .array([])?, .object([])?: continue
            case let value?: throw refuse(key, "none", value)
            }
        }
        // These start by changing the base weights, so that the adapter fits only the changed ones.
        if case .string(let scheme)? = json["init_lora_weights"] {
            for changing in ["pissa", "olora", "corda", "loftq", "lora_ga"] where scheme.hasPrefix(changing) {
                throw refuse("init_lora_weights", "an initialization that leaves the base weights alone", json["init_lora_weights"])
            }
        }
    }

    /// Names may be whole paths, of which the last component counts, as PEFT matches them by suffix.
    private static func targets(_ json: JSONValue, path: String) throws -> [LinearSite]? {
        switch json["target_modules"] {
        case nil, .null?, .string?: return nil
        case .array(let elements)?:
            return try elements.map { element in
                guard let name = element.stringValue, let last = name.split(separator: ".").last,
                    let site = LinearSite(rawValue: String(last))
                else {
                    throw AdapterError.unsupported(
                        path: path, key: "target_modules", supported: LinearSite.allCases.map(\.rawValue).joined(separator: ", "),
                        found: element.serialized())
                }
                return site
            }
        case let value?:
            throw AdapterError.invalid(path: path, key: "target_modules", expected: "a list or a string", found: value.kindDescription)
        }
    }

    /// nil if absent or null.
    private static func value<T>(
        _ key: String, in json: JSONValue, path: String, expected: String, _ read: (JSONValue) -> T?
    ) throws -> T? {
        guard let value = json[key], !value.isNull else { return nil }
        guard let result = read(value) else {
            throw AdapterError.invalid(path: path, key: key, expected: expected, found: value.serialized())
        }
        return result
    }

    private static func required<T>(
        _ key: String, in json: JSONValue, path: String, expected: String, _ read: (JSONValue) -> T?
    ) throws -> T {
        guard let result = try value(key, in: json, path: path, expected: expected, read) else {
            throw AdapterError.missing(path: path, key: key)
        }
        return result
    }
}

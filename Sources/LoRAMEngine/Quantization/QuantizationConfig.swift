/// `quantization_config` of config.json: that a checkpoint's linear layers are NF4, as transformers and bitsandbytes write it.
public struct QuantizationConfig: Sendable, Equatable {
    static let key = "quantization_config"

    /// Block maxima are quantized too. What a tensor has is said by its own state; this is the setting that made them.
    public var doubleQuantization: Bool

    public init(doubleQuantization: Bool) {
        self.doubleQuantization = doubleQuantization
    }

    /// nil where config.json has no quantization.
    ///
    /// - Throws: `ConfigError` for any quantization but NF4 by bitsandbytes.
    init?(_ fields: ConfigFields) throws {
        guard var own = try fields.optionalFields(Self.key) else { return nil }
        own.prefix = Self.key + "."
        func require(_ key: String, _ supported: String, found: String?, default fallback: String) throws {
            let found = found ?? fallback
            guard found == supported else {
                throw ConfigError.unsupported(path: fields.path, key: own.prefix + key, supported: supported, found: found)
            }
        }
        // Files of old versions name no method; load_in_4bit is bitsandbytes' own key.
        try require("quant_method", "bitsandbytes", found: try own.optionalString("quant_method"), default: "bitsandbytes")
        try require(
            "load_in_4bit", "true", found: (try own.optionalBool("load_in_4bit") ?? own.optionalBool("_load_in_4bit"))?.description, default: "false")
        // fp4 is what bitsandbytes takes where the key is absent.
        try require("bnb_4bit_quant_type", "nf4", found: try own.optionalString("bnb_4bit_quant_type"), default: "fp4")
        doubleQuantization = try own.optionalBool("bnb_4bit_use_double_quant") ?? false
    }

    /// As transformers writes it, so that it opens the checkpoint without being told anything.
    var json: JSONValue {
        [
            "_load_in_4bit": true,
            "_load_in_8bit": false,
            "bnb_4bit_compute_dtype": "bfloat16",
            "bnb_4bit_quant_storage": "uint8",
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": .bool(doubleQuantization),
            "llm_int8_enable_fp32_cpu_offload": false,
            "llm_int8_has_fp16_weight": false,
            // null leaves the head, tied or not, as it is.
            "llm_int8_skip_modules": .null,
            "llm_int8_threshold": 6.0,
            "load_in_4bit": true,
            "load_in_8bit": false,
            "quant_method": "bitsandbytes",
        ]
    }
}

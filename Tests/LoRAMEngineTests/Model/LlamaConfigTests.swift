import LoRAMEngine
import TestSupport
import Testing

@Suite struct LlamaConfigTests {
    /// A small valid file in the spelling of transformers 4.
    private static let base: JSONValue = [
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    ]

    private static func with(_ changes: (String, JSONValue?)...) -> JSONValue {
        changes.reduce(into: base) { $0[$1.0] = $1.1 }
    }

    private static let llama3: JSONValue = [
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    ]

    private static func changed(_ scaling: JSONValue, _ key: String, _ value: JSONValue?) -> JSONValue {
        var scaling = scaling
        scaling[key] = value
        return scaling
    }

    @Test func readsTheOldSpelling() throws {
        let config = try LlamaConfig(json: Self.base, path: "c")
        #expect(config.layers == Array(repeating: LayerGeometry(headCount: 4, keyValueHeadCount: 2, intermediateSize: 44), count: 2))
        #expect(config.headDim == 8 && config.hiddenSize == 32 && config.vocabularySize == 100 && config.maxPositionCount == 128)
        #expect(config.rope == RoPEConfig(theta: 10000) && config.rmsNormEpsilon == 1e-5 && config.dtype == .bf16)
        #expect(config.bosTokenID == 1 && config.eosTokenIDs == [2] && !config.tiesWordEmbeddings)
    }

    @Test func bothSpellingsOfRoPEAreOne() throws {
        let old = try LlamaConfig(json: Self.with(("rope_scaling", Self.llama3)), path: "c")
        let parameters = Self.changed(Self.llama3, "rope_theta", 10000.0)
        let new = try LlamaConfig(
            json: Self.with(("rope_theta", nil), ("rope_parameters", parameters), ("torch_dtype", nil), ("dtype", "bfloat16")), path: "c")
        let both = try LlamaConfig(json: Self.with(("rope_scaling", Self.llama3), ("rope_parameters", parameters)), path: "c")
        #expect(old == new && old == both)
        #expect(
            old.rope.scaling
                == .init(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositionCount: 8192))
        #expect(try LlamaConfig(json: Self.with(("rope_scaling", ["type": "default"])), path: "c").rope.scaling == nil)
    }

    @Test func takesTransformersDefaults() throws {
        let json = Self.with(
            ("num_key_value_heads", nil), ("max_position_embeddings", nil), ("rms_norm_eps", nil), ("torch_dtype", nil),
            ("tie_word_embeddings", nil), ("hidden_act", nil), ("eos_token_id", [3, 4]), ("bos_token_id", .some(.null)), ("head_dim", 6))
        let config = try LlamaConfig(json: json, path: "c")
        #expect(config.layers[0].keyValueHeadCount == 4 && config.maxPositionCount == 2048 && config.rmsNormEpsilon == 1e-6)
        #expect(config.dtype == .f32 && config.eosTokenIDs == [3, 4] && config.bosTokenID == nil && config.headDim == 6)
    }

    @Test func readsEveryLayersOwnGeometry() throws {
        let json = Self.with(
            ("model_type", "loram_llama"), ("head_dim", 8), ("num_attention_heads", [4, 2]), ("num_key_value_heads", [2, 1]),
            ("intermediate_size", [44, 13]), ("method", "rand"), ("ratio", 0.5))
        let config = try LlamaConfig(json: json, path: "c")
        #expect(config.layers[1] == LayerGeometry(headCount: 2, keyValueHeadCount: 1, intermediateSize: 13))
        #expect(!config.isUniform)
    }

    @Test(arguments: [
        (with(("rope_theta", nil)), "rope_theta"),
        (with(("rope_theta", nil), ("rope_parameters", ["rope_type": "default"])), "rope_parameters.rope_theta"),
        (with(("rope_theta", 0)), "rope_theta"),
        (with(("rope_theta", "x")), "rope_theta"),
        (with(("rope_parameters", ["rope_theta": 5.0])), "rope_theta"),
        (with(("rope_scaling", ["rope_type": "yarn", "factor": 2.0])), "yarn"),
        (with(("rope_scaling", ["type": "linear", "factor": 2.0])), "rope_scaling.type"),
        (with(("rope_scaling", ["factor": 2.0])), "rope_scaling.rope_type"),
        (with(("rope_scaling", changed(llama3, "factor", nil))), "rope_scaling.factor"),
        (with(("rope_scaling", changed(llama3, "original_max_position_embeddings", nil))), "original_max_position_embeddings"),
        (with(("rope_scaling", changed(llama3, "high_freq_factor", 1.0))), "high_freq_factor"),
        (with(("rope_scaling", llama3), ("rope_parameters", ["rope_theta": 10000.0])), "rope_parameters and rope_scaling"),
        (with(("partial_rotary_factor", 0.5)), "partial_rotary_factor"),
        (with(("attention_bias", true)), "attention_bias"),
        (with(("mlp_bias", true)), "mlp_bias"),
        (with(("model_type", "mistral")), "mistral"),
        (with(("model_type", nil)), "model_type"),
        (with(("hidden_act", "gelu")), "gelu"),
        (with(("num_key_value_heads", 3)), "num_key_value_heads"),
        (with(("num_attention_heads", 0)), "num_attention_heads"),
        (with(("num_attention_heads", [4, 4])), "num_attention_heads"),
        (with(("hidden_size", 30)), "hidden_size"),
        (with(("hidden_size", nil)), "hidden_size"),
        (with(("hidden_size", 1_099_511_627_776)), "hidden_size"),
        (with(("head_dim", 7)), "head_dim"),
        (with(("vocab_size", -1)), "vocab_size"),
        (with(("num_hidden_layers", 1.5)), "num_hidden_layers"),
        (with(("num_hidden_layers", 4096), ("hidden_size", 1_048_576), ("intermediate_size", 16_777_216)), "parameters"),
        (with(("rms_norm_eps", -1e-5)), "rms_norm_eps"),
        (with(("torch_dtype", "int8")), "int8"),
        (with(("dtype", "float16")), "dtype and torch_dtype"),
        (with(("eos_token_id", ["x"])), "eos_token_id"),
        (with(("tie_word_embeddings", 1)), "tie_word_embeddings"),
        (with(("model_type", "loram_llama")), "head_dim"),
        (with(("model_type", "loram_llama"), ("head_dim", 8), ("intermediate_size", [44])), "intermediate_size"),
        (with(("model_type", "loram_llama"), ("head_dim", 8), ("intermediate_size", [44, 0])), "intermediate_size of layer 1"),
        (with(("model_type", "loram_llama"), ("head_dim", 8), ("num_attention_heads", [4, 3])), "num_attention_heads of layer 1"),
        ([1, 2], "the document"),
    ] as [(JSONValue, String)])
    func refusesWhatItCannotCompute(json: JSONValue, named: String) {
        let error = caught(ConfigError.self) { _ = try LlamaConfig(json: json, path: "some/config.json") }
        #expect(error?.exitCode == .badInput)
        #expect(error?.description.hasPrefix("some/config.json: ") == true)
        #expect(error?.description.contains(named) == true, "\(String(describing: error))")
        #expect(error?.description.contains("\n") == false)
    }

    @Test func writesWhatItReads() throws {
        for preset in ModelPreset.allCases {
            let json = preset.config.configJSON()
            #expect(json["model_type"] == "llama" && json["auto_map"] == nil)
            #expect(try LlamaConfig(json: JSONValue.parse(json.serialized(pretty: true)), path: "c") == preset.config)
        }
        var pruned = ModelPreset.llama32_1B.config
        pruned.layers[3].intermediateSize = 17
        pruned.layers[3].headCount = 4
        pruned.layers[3].keyValueHeadCount = 1
        pruned.eosTokenIDs = [128_001, 128_008]
        pruned.bosTokenID = nil
        let json = pruned.configJSON(pruning: .init(method: "rand", ratio: 0.65))
        #expect(json["model_type"] == "loram_llama" && json["method"] == "rand" && json["ratio"] == 0.65)
        #expect(json["intermediate_size"]?[3] == 17 && json["num_key_value_heads"]?.arrayValue?.count == 16)
        #expect(try LlamaConfig(json: json, path: "c") == pruned)
    }

    /// What ours does not say comes from the source behind it, in its order; a pruned source's label and script do not.
    @Test func takesOverTheSourcesKeys() throws {
        let config = ModelPreset.llama2_7B.config
        var source = config.configJSON(pruning: .init(method: "rand", ratio: 0.5))
        for (key, value) in [
            ("z_key", 1), ("quantization_config", [:]), ("pretraining_tp", 2), ("layer_types", ["full_attention"]), ("a_key", .null), ("use_cache", .null),
            ("attention_dropout", 0.1),
        ] as [(String, JSONValue)] { source[key] = value }
        let keys = try #require(config.configJSON().objectMembers).map(\.key)
        let found = config.configJSON(from: source)
        #expect(found.objectMembers?.map(\.key) == keys + ["z_key", "pretraining_tp", "layer_types", "a_key"])
        #expect(found["model_type"] == "llama" && found["attention_dropout"] == 0.1 && found["use_cache"] == true)
        let pruned = config.configJSON(pruning: .init(method: "stru", ratio: 0.25), from: source)
        #expect(pruned["method"] == "stru" && pruned["ratio"] == 0.25 && pruned["auto_map"] != nil && pruned["pretraining_tp"] == nil)
        #expect(try LlamaConfig(json: pruned, path: "c") == config)
    }

    @Test func presetsHaveThePublishedParameterCounts() {
        let expected: [ModelPreset: Int] = [
            .llama2_7B: 6_738_415_616, .llama2_13B: 13_015_864_320, .llama2_70B: 68_976_648_192, .llama31_8B: 8_030_261_248,
            .llama31_70B: 70_553_706_496, .llama32_1B: 1_235_814_400,
        ]
        for preset in ModelPreset.allCases {
            #expect(preset.config.parameterCount == expected[preset])
            #expect(WeightLayout.names(preset.config).reduce(0) { $0 + $1.shape.reduce(1, *) } == expected[preset])
        }
    }

    @Test(.enabled(if: SharedData.path("models/stories260K") != nil, "needs shared/data"))
    func readsTheRealModel() throws {
        let config = try LlamaConfig(file: #require(SharedData.path("models/stories260K/config.json")))
        #expect(config.parameterCount == 260_032 && config.tiesWordEmbeddings && config.headDim == 8)
    }
}

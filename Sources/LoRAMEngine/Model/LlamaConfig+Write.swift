extension LlamaConfig {
    /// How a checkpoint came to be pruned, recorded in its config.json.
    public struct PruningLabel: Sendable, Equatable {
        /// `rand`, `stru`, ...
        public var method: String
        public var ratio: Double

        public init(method: String, ratio: Double) {
            self.method = method
            self.ratio = ratio
        }
    }

    /// The contents of config.json.
    ///
    /// A model whose layers are all alike and that carries no label is written as `llama`, in the spelling that transformers 4
    /// and 5 both read. Any other is written as `loram_llama` with one entry a layer, which transformers opens through the
    /// `ModelingScript` beside it.
    /// - Parameter source: config.json of the model that this one is made of. What ours does not say is taken over from there, as is what has no
    ///   part in the computation.
    public func configJSON(pruning: PruningLabel? = nil, from source: JSONValue? = nil) -> JSONValue {
        let isPruned = pruning != nil || !isUniform
        func perLayer(_ value: (LayerGeometry) -> Int) -> JSONValue {
            isPruned ? .array(layers.map { .integer(value($0)) }) : .integer(value(layers[0]))
        }
        var json: JSONValue = [
            "architectures": [.string(isPruned ? ModelingScript.modelClass : "LlamaForCausalLM")],
            "model_type": .string(isPruned ? Self.prunedModelType : Self.modelType),
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": bosTokenID.map { .integer($0) } ?? .null,
            "eos_token_id": eosTokenIDs.count == 1
                ? .integer(eosTokenIDs[0]) : eosTokenIDs.isEmpty ? .null : .array(eosTokenIDs.map { .integer($0) }),
            "head_dim": .integer(headDim),
            "hidden_act": "silu",
            "hidden_size": .integer(hiddenSize),
            "initializer_range": .double(SyntheticWeights.standardDeviation),
            "intermediate_size": perLayer(\.intermediateSize),
            "max_position_embeddings": .integer(maxPositionCount),
            "mlp_bias": false,
            "num_attention_heads": perLayer(\.headCount),
            "num_hidden_layers": .integer(layerCount),
            "num_key_value_heads": perLayer(\.keyValueHeadCount),
            "rms_norm_eps": .double(rmsNormEpsilon),
            "rope_scaling": rope.scaling?.json ?? .null,
            "rope_theta": .double(rope.theta),
            "tie_word_embeddings": .bool(tiesWordEmbeddings),
            "torch_dtype": .string(dtype.torchName ?? "float32"),
            "use_cache": true,
            "vocab_size": .integer(vocabularySize),
        ]
        if isPruned { json["auto_map"] = ModelingScript.autoMap }
        if let pruning {
            json["method"] = .string(pruning.method)
            json["ratio"] = .double(pruning.ratio)
        }
        for key in Self.sourceKeys {
            if let value = source?[key], !value.isNull { json[key] = value }
        }
        // Products cut into as many parts as the original's widths have: a pruned width need not.
        let left = isPruned ? Self.ownKeys + ["pretraining_tp"] : Self.ownKeys
        for member in source?.objectMembers ?? [] where !left.contains(member.key) && json[member.key] == nil {
            json[member.key] = member.value
        }
        return json
    }

    /// Of ours where the source does not have them.
    private static let sourceKeys = ["attention_dropout", "initializer_range", "use_cache"]
    /// Ours alone, also where ours is silent: another spelling of what ours says, or what is no longer so.
    private static let ownKeys = [
        "architectures", "auto_map", "dtype", "method", "model_type", QuantizationConfig.key, "ratio", "rope_parameters", "torch_dtype",
    ]
}

extension RoPEConfig.Llama3Scaling {
    fileprivate var json: JSONValue {
        [
            "factor": .double(factor),
            "high_freq_factor": .double(highFrequencyFactor),
            "low_freq_factor": .double(lowFrequencyFactor),
            "original_max_position_embeddings": .integer(originalMaxPositionCount),
            "rope_type": "llama3",
        ]
    }
}

/// Which heads and channels of a whole model a structurally pruned one keeps.
///
/// Made by a pruning method, stored beside the pruned checkpoint as `pruning_plan.json`, and needed again to bring an adapter back to
/// the whole model's shape.
public struct PruningPlan: Sendable, Equatable {
    public static let fileName = "pruning_plan.json"

    /// What one layer keeps. Indices count in the whole model, ascend and differ; there is at least one of each.
    public struct Layer: Sendable, Equatable {
        /// Key-value heads; the query heads that read a kept one are kept with it.
        public var keyValueHeads: [Int]
        /// Rows of gate and up, columns of down.
        public var channels: [Int]

        public init(keyValueHeads: [Int], channels: [Int]) {
            self.keyValueHeads = keyValueHeads
            self.channels = channels
        }
    }

    /// `rand` or `stru`.
    public var method: String
    public var ratio: Double
    public var seed: UInt64
    /// First and last layers that are kept whole.
    public var keepFirst: Int
    public var keepLast: Int
    /// `LlamaConfig.identityHash` of the whole model.
    public var sourceConfigHash: String
    /// Of every layer of the whole model.
    public var sourceGeometry: LayerGeometry
    public var headDim: Int
    public var layers: [Layer]

    /// - Precondition: the indices are as `Layer` says, within `sourceGeometry`.
    public init(
        method: String, ratio: Double, seed: UInt64, keepFirst: Int, keepLast: Int, sourceConfigHash: String, sourceGeometry: LayerGeometry,
        headDim: Int, layers: [Layer]
    ) {
        for layer in layers {
            precondition(Self.isKeptList(layer.keyValueHeads, of: sourceGeometry.keyValueHeadCount), "key-value heads of a plan")
            precondition(Self.isKeptList(layer.channels, of: sourceGeometry.intermediateSize), "channels of a plan")
        }
        self.method = method
        self.ratio = ratio
        self.seed = seed
        self.keepFirst = keepFirst
        self.keepLast = keepLast
        self.sourceConfigHash = sourceConfigHash
        self.sourceGeometry = sourceGeometry
        self.headDim = headDim
        self.layers = layers
    }

    /// Query heads that share a key-value head.
    var groupSize: Int { sourceGeometry.headCount / sourceGeometry.keyValueHeadCount }

    /// Head counts and MLP width that are left of a layer.
    public func geometry(layer: Int) -> LayerGeometry {
        let kept = layers[layer]
        return LayerGeometry(
            headCount: kept.keyValueHeads.count * groupSize, keyValueHeadCount: kept.keyValueHeads.count, intermediateSize: kept.channels.count)
    }

    /// The pruned model's config.
    ///
    /// - Parameter path: of the plan, for the error.
    /// - Throws: `PruningError.otherModel` if `source` is not the model that the plan was made for.
    public func prunedConfig(of source: LlamaConfig, path: String = fileName) throws -> LlamaConfig {
        try require(source: source, path: path)
        var pruned = source
        pruned.layers = layers.indices.map(geometry)
        return pruned
    }

    /// - Throws: `PruningError.otherModel`.
    public func require(source: LlamaConfig, path: String = fileName) throws {
        let hash = source.identityHash
        // The geometry follows from the hash in an honest plan; indices are used on the strength of it.
        guard hash == sourceConfigHash, source.layerCount == layers.count, source.headDim == headDim,
            source.layers.allSatisfy({ $0 == sourceGeometry })
        else { throw PruningError.otherModel(path: path, expected: hash, found: sourceConfigHash) }
    }

    /// Sees that a checkpoint has the shapes that the plan gives.
    ///
    /// - Throws: `PruningError.otherGeometry`, or `.badPlan` if even the number of layers differs.
    public func require(pruned: LlamaConfig, path: String) throws {
        guard pruned.layerCount == layers.count else {
            throw PruningError.badPlan(path: path, item: "layers", expected: "\(pruned.layerCount), as the checkpoint has", found: "\(layers.count)")
        }
        for layer in layers.indices where geometry(layer: layer) != pruned.layers[layer] {
            throw PruningError.otherGeometry(path: path, layer: layer, expected: geometry(layer: layer), found: pruned.layers[layer])
        }
    }

    /// Ascending, without repeats, within 0 ..< count, not empty.
    static func isKeptList(_ indices: [Int], of count: Int) -> Bool {
        guard let first = indices.first, first >= 0, let last = indices.last, last < count else { return false }
        return zip(indices, indices.dropFirst()).allSatisfy { $0 < $1 }
    }
}

extension LlamaConfig {
    /// SHA-256 of what defines the model as a function of its weights: sizes, RoPE, epsilon, tying. The spelling of config.json, the
    /// type of the stored weights and token ids do not count.
    public var identityHash: String {
        var json: JSONValue = [
            "head_dim": .integer(headDim),
            "hidden_size": .integer(hiddenSize),
            "intermediate_size": .array(layers.map { .integer($0.intermediateSize) }),
            "num_attention_heads": .array(layers.map { .integer($0.headCount) }),
            "num_key_value_heads": .array(layers.map { .integer($0.keyValueHeadCount) }),
            "rms_norm_eps": .double(rmsNormEpsilon),
            "rope_theta": .double(rope.theta),
            "tie_word_embeddings": .bool(tiesWordEmbeddings),
            "vocab_size": .integer(vocabularySize),
        ]
        if let scaling = rope.scaling {
            json["rope_scaling"] = [
                "factor": .double(scaling.factor),
                "high_freq_factor": .double(scaling.highFrequencyFactor),
                "low_freq_factor": .double(scaling.lowFrequencyFactor),
                "original_max_position_embeddings": .integer(scaling.originalMaxPositionCount),
            ]
        }
        return ContentHash.sha256(json.serialized())
    }
}

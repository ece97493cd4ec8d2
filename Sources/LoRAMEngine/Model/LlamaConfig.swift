/// Shape and constants of a Llama 2 / 3 / 3.1 / 3.2 model, whole or structurally pruned.
///
/// Every layer has its own geometry: structured pruning removes key-value heads (with their query heads) and MLP channels
/// layer by layer, while `headDim`, `hiddenSize` and the vocabulary never change.
public struct LlamaConfig: Sendable, Equatable {
    public var hiddenSize: Int
    public var vocabularySize: Int
    public var headDim: Int
    public var maxPositionCount: Int
    /// One entry a layer, first layer first.
    public var layers: [LayerGeometry]
    public var rmsNormEpsilon: Double
    public var rope: RoPEConfig
    public var tiesWordEmbeddings: Bool
    /// Type in which the checkpoint's weights are (or are to be) stored.
    public var dtype: DType
    public var bosTokenID: Int?
    public var eosTokenIDs: [Int]

    public init(
        hiddenSize: Int, vocabularySize: Int, headDim: Int, maxPositionCount: Int, layers: [LayerGeometry],
        rmsNormEpsilon: Double, rope: RoPEConfig, tiesWordEmbeddings: Bool, dtype: DType,
        bosTokenID: Int? = 1, eosTokenIDs: [Int] = [2]
    ) {
        self.hiddenSize = hiddenSize
        self.vocabularySize = vocabularySize
        self.headDim = headDim
        self.maxPositionCount = maxPositionCount
        self.layers = layers
        self.rmsNormEpsilon = rmsNormEpsilon
        self.rope = rope
        self.tiesWordEmbeddings = tiesWordEmbeddings
        self.dtype = dtype
        self.bosTokenID = bosTokenID
        self.eosTokenIDs = eosTokenIDs
    }

    public var layerCount: Int { layers.count }
    /// True when all layers share one geometry, as in a model that was never structurally pruned.
    public var isUniform: Bool { layers.allSatisfy { $0 == layers[0] } }
}

/// Head counts and MLP width of one layer.
public struct LayerGeometry: Sendable, Equatable, Hashable {
    /// Query heads; a multiple of `keyValueHeadCount`. Query head h reads key-value head h / (headCount / keyValueHeadCount).
    public var headCount: Int
    public var keyValueHeadCount: Int
    public var intermediateSize: Int

    public init(headCount: Int, keyValueHeadCount: Int, intermediateSize: Int) {
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.intermediateSize = intermediateSize
    }
}

/// Rotary position embedding: base and optional Llama 3.1 frequency scaling.
public struct RoPEConfig: Sendable, Equatable {
    /// `rope_type: llama3` (Llama 3.1 and 3.2).
    public struct Llama3Scaling: Sendable, Equatable {
        public var factor: Double
        public var lowFrequencyFactor: Double
        public var highFrequencyFactor: Double
        public var originalMaxPositionCount: Int

        public init(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalMaxPositionCount: Int) {
            self.factor = factor
            self.lowFrequencyFactor = lowFrequencyFactor
            self.highFrequencyFactor = highFrequencyFactor
            self.originalMaxPositionCount = originalMaxPositionCount
        }
    }

    public var theta: Double
    public var scaling: Llama3Scaling?

    public init(theta: Double, scaling: Llama3Scaling? = nil) {
        self.theta = theta
        self.scaling = scaling
    }
}

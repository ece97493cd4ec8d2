/// What pruning and quantization leave of a model: counts and bytes from its shape alone, as the method's authors count and as they
/// are stored.
public struct ModelPlan: Sendable, Equatable {
    /// The whole model.
    public let original: LlamaConfig
    /// The model that is trained on. Zeros of non-structured methods are part of it.
    public let trained: LlamaConfig
    /// Zeros among its weights; for `unst` the expected number.
    public let zeroCount: Int
    /// That it is, or is to be, quantized with.
    public let quantizer: Quantizer?
    /// Of these the one by which the checkpoint is stored already.
    public let storedQuantizer: Quantizer?
    /// By which it was, or would be, pruned.
    public let method: String
    /// Of every pruned layer; 0: nothing is pruned.
    public let ratio: Double
    /// n:m of `semi`.
    public let pattern: String?

    public init(
        original: LlamaConfig, trained: LlamaConfig, method: String, ratio: Double, zeroCount: Int = 0, quantizer: Quantizer? = nil,
        storedQuantizer: Quantizer? = nil, pattern: String? = nil
    ) {
        self.original = original
        self.trained = trained
        self.method = method
        self.ratio = ratio
        self.pattern = pattern
        self.zeroCount = zeroCount
        self.quantizer = quantizer
        self.storedQuantizer = storedQuantizer
    }

    public var originalParameters: Int { original.parameterCount }
    /// Parameters that are not zero.
    public var prunedParameters: Int { trained.parameterCount - zeroCount }

    /// Bits of a parameter as the paper counts: 16, or 4 for all, embedding and head included.
    public var paperBits: Int { quantizer == nil ? 16 : 4 }
    /// What the paper calls a QLoRAM model's parameters: those of bf16 that take as many bytes.
    public var paperParameters: Int { prunedParameters * paperBits / 16 }
    public var paperBytes: Int { prunedParameters * paperBits / 8 }
    /// Original parameters over `paperParameters`; leaves out LoRA, optimizer and activations.
    public var reduction: Double { Double(originalParameters * 16) / Double(prunedParameters * paperBits) }

    /// Bytes of the original's weights in its own type.
    public var originalBytes: Int { WeightBytes().stored(original) }
    /// Bytes of the trained-on checkpoint's weights (`WeightBytes.stored`). Zeros are stored like any number; only the linear layers are in 4 bit, with their
    /// scales.
    public var storedBytes: Int { WeightBytes(quantizer: quantizer).stored(trained) }

    /// Parameters of an adapter on the trained model, and of the one recovered to the original's shape.
    public func adapterParameters(_ lora: LoRAConfig) -> (trained: Int, recovered: Int) {
        func count(_ config: LlamaConfig) -> Int {
            StageWeights.adapterTensors(lora, .whole(config), config).reduce(0) { $0 + $1.shape.reduce(1, *) }
        }
        return (count(trained), count(original))
    }
}

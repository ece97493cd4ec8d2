/// The linear layers of a Llama that LoRA can adapt and pruning can narrow.
public enum LinearSite: String, Sendable, CaseIterable, Codable {
    case q = "q_proj"
    case k = "k_proj"
    case v = "v_proj"
    case o = "o_proj"
    case gate = "gate_proj"
    case up = "up_proj"
    case down = "down_proj"
    case lmHead = "lm_head"

    /// The seven sites inside a decoder layer.
    public static let inLayer: [LinearSite] = [.q, .k, .v, .o, .gate, .up, .down]

    /// Module path without the `.weight` suffix, as in a Hugging Face checkpoint: `model.layers.3.self_attn.q_proj`, `lm_head`.
    public func modulePath(layer: Int) -> String {
        switch self {
        case .q, .k, .v, .o: "model.layers.\(layer).self_attn.\(rawValue)"
        case .gate, .up, .down: "model.layers.\(layer).mlp.\(rawValue)"
        case .lmHead: "lm_head"
        }
    }

    /// Rows (output features) and columns (input features) of the weight, [out, in].
    public func shape(in config: LlamaConfig, layer: Int) -> (out: Int, in: Int) {
        let hidden = config.hiddenSize
        if self == .lmHead { return (config.vocabularySize, hidden) }
        let geometry = config.layers[layer]
        let query = geometry.headCount * config.headDim
        let keyValue = geometry.keyValueHeadCount * config.headDim
        return switch self {
        case .q: (query, hidden)
        case .k, .v: (keyValue, hidden)
        case .o: (hidden, query)
        case .gate, .up: (geometry.intermediateSize, hidden)
        case .down: (hidden, geometry.intermediateSize)
        case .lmHead: (config.vocabularySize, hidden)
        }
    }
}

/// Checkpoint names of the weights that are not linear layers.
public enum WeightName {
    public static let embedding = "model.embed_tokens.weight"
    public static let finalNorm = "model.norm.weight"
    public static let lmHead = "lm_head.weight"
    public static func inputNorm(layer: Int) -> String { "model.layers.\(layer).input_layernorm.weight" }
    public static func postAttentionNorm(layer: Int) -> String { "model.layers.\(layer).post_attention_layernorm.weight" }
}

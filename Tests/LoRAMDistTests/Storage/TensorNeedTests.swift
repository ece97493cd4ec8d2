import LoRAMDist
import LoRAMEngine
import Testing

/// Which tensors a host gets for a stage.
struct TensorNeedTests {
    static let first = StageRange(layers: 0..<2, isFirst: true, isLast: false)
    static let last = StageRange(layers: 2..<12, isFirst: false, isLast: true)

    @Test(arguments: [
        ("model.embed_tokens.weight", true, false), ("model.layers.1.mlp.down_proj.weight", true, false), ("model.layers.11.self_attn.q_proj.weight.absmax", false, true),
        ("model.layers.2.input_layernorm.weight", false, true), ("model.norm.weight", false, true), ("lm_head.weight", false, true),
        ("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight", true, false), ("base_model.model.lm_head.lora_A.weight", false, true),
        ("model.layers.11.mlp.up_proj.weight.adam_second_moment", false, true), ("something.else", true, true),
    ]) func byName(_ name: String, isFirst: Bool, isLast: Bool) {
        #expect(Self.first.needs(tensor: name, tied: false) == isFirst && Self.last.needs(tensor: name, tied: false) == isLast)
    }

    @Test func aTiedHeadNeedsTheEmbedding() {
        #expect(Self.last.needs(tensor: "model.embed_tokens.weight", tied: true))
    }
}

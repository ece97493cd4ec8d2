/// Public models by name, as shapes without weights.
///
/// Shapes and constants are those of the published config.json files. The stored type is bf16 throughout, in which the method's
/// authors load them (Meta's Llama 2 files themselves are f16).
public enum ModelPreset: String, Sendable, CaseIterable {
    case llama2_7B = "llama-2-7b"
    case llama2_13B = "llama-2-13b"
    case llama2_70B = "llama-2-70b"
    case llama31_8B = "llama-3.1-8b"
    case llama31_70B = "llama-3.1-70b"
    case llama32_1B = "llama-3.2-1b"

    public var config: LlamaConfig {
        switch self {
        case .llama2_7B: Self.llama2(hidden: 4096, intermediate: 11008, layers: 32, heads: 32, keyValueHeads: 32)
        case .llama2_13B: Self.llama2(hidden: 5120, intermediate: 13824, layers: 40, heads: 40, keyValueHeads: 40)
        case .llama2_70B: Self.llama2(hidden: 8192, intermediate: 28672, layers: 80, heads: 64, keyValueHeads: 8)
        case .llama31_8B: Self.llama3(hidden: 4096, intermediate: 14336, layers: 32, heads: 32, factor: 8, tied: false)
        case .llama31_70B: Self.llama3(hidden: 8192, intermediate: 28672, layers: 80, heads: 64, factor: 8, tied: false)
        case .llama32_1B: Self.llama3(hidden: 2048, intermediate: 8192, layers: 16, heads: 32, factor: 32, tied: true)
        }
    }

    private static func llama2(hidden: Int, intermediate: Int, layers: Int, heads: Int, keyValueHeads: Int) -> LlamaConfig {
        let geometry = LayerGeometry(headCount: heads, keyValueHeadCount: keyValueHeads, intermediateSize: intermediate)
        return LlamaConfig(
            hiddenSize: hidden, vocabularySize: 32000, headDim: hidden / heads, maxPositionCount: 4096,
            layers: Array(repeating: geometry, count: layers), rmsNormEpsilon: 1e-5, rope: RoPEConfig(theta: 10000),
            tiesWordEmbeddings: false, dtype: .bf16, bosTokenID: 1, eosTokenIDs: [2])
    }

    private static func llama3(hidden: Int, intermediate: Int, layers: Int, heads: Int, factor: Double, tied: Bool) -> LlamaConfig {
        let geometry = LayerGeometry(headCount: heads, keyValueHeadCount: 8, intermediateSize: intermediate)
        let scaling = RoPEConfig.Llama3Scaling(
            factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositionCount: 8192)
        return LlamaConfig(
            hiddenSize: hidden, vocabularySize: 128256, headDim: hidden / heads, maxPositionCount: 131072,
            layers: Array(repeating: geometry, count: layers), rmsNormEpsilon: 1e-5,
            rope: RoPEConfig(theta: 500_000, scaling: scaling), tiesWordEmbeddings: tied, dtype: .bf16, bosTokenID: 128_000,
            eosTokenIDs: [128_001])
    }
}

/// Bytes of a model's weights as a checkpoint stores them, from their shapes.
public struct WeightBytes: Sendable, Equatable {
    /// NF4 for the seven linear layers of each decoder layer; nil: everything in the config's type.
    public var quantizer: Quantizer?

    public init(quantizer: Quantizer? = nil) { self.quantizer = quantizer }

    /// Of all weights: numbers, codes and scales. The maps and states that the file format puts beside each quantized weight, constants of
    /// some 1300 bytes, are left out.
    public func stored(_ config: LlamaConfig) -> Int {
        WeightLayout.names(config).reduce(0) { $0 + stored($1.name, $1.shape, config) }
    }

    /// Of the matrices that are read for a token, and how many elements they have: all but the embedding, of which one row is.
    public func readForToken(_ config: LlamaConfig) -> (bytes: Int, elements: Int) {
        StageWeights.weights(of: .whole(config), config).reduce((0, 0)) { sum, weight in
            guard weight.shape.count == 2, weight.name != WeightName.embedding else { return sum }
            return (sum.0 + stored(weight.name, weight.shape, config), sum.1 + weight.shape[0] * weight.shape[1])
        }
    }

    /// Of one weight. Beside quantized ones the others are bf16, as `quantize` writes them.
    func stored(_ name: String, _ shape: [Int], _ config: LlamaConfig) -> Int {
        let count = shape.reduce(1, *)
        guard let quantizer else { return count * config.dtype.byteCount }
        guard Self.isLayerLinear(name) else { return count * DType.bf16.byteCount }
        let constant: [NF4Tensor.Part] = [.map, .nestedMap, .state]
        return quantizer.tensors(of: name, shape: shape, dtype: config.dtype)
            .filter { tensor in !constant.contains { tensor.name == name + $0.rawValue } }.reduce(0) { $0 + $1.byteCount }
    }

    private static func isLayerLinear(_ name: String) -> Bool {
        LinearSite.inLayer.contains { name.hasSuffix(".\($0.rawValue).weight") }
    }
}

extension ModelReference {
    /// How this model's weights are stored.
    public var weightBytes: WeightBytes {
        guard case .checkpoint(let checkpoint) = origin, let quantization = checkpoint.quantization else { return WeightBytes() }
        return WeightBytes(quantizer: Quantizer(double: quantization.doubleQuantization))
    }

    /// Its weights are in files.
    public var isFile: Bool {
        if case .checkpoint = origin { true } else { false }
    }
}

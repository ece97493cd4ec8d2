/// Names and shapes of all weights of a model, as in a Hugging Face checkpoint.
public enum WeightLayout {
    /// In the order of the forward pass: embedding, layers, final norm, head. A tied model has no head of its own.
    public static func names(_ config: LlamaConfig) -> [(name: String, shape: [Int])] {
        let hidden = config.hiddenSize
        var result: [(name: String, shape: [Int])] = [(WeightName.embedding, [config.vocabularySize, hidden])]
        for layer in 0..<config.layerCount {
            for site in LinearSite.inLayer {
                let shape = site.shape(in: config, layer: layer)
                result.append(("\(site.modulePath(layer: layer)).weight", [shape.out, shape.in]))
            }
            result.append((WeightName.inputNorm(layer: layer), [hidden]))
            result.append((WeightName.postAttentionNorm(layer: layer), [hidden]))
        }
        result.append((WeightName.finalNorm, [hidden]))
        if !config.tiesWordEmbeddings { result.append((WeightName.lmHead, [config.vocabularySize, hidden])) }
        return result
    }
}

extension LlamaConfig {
    /// Parameters of the whole model; a tied embedding counts once.
    public var parameterCount: Int {
        let embedding = vocabularySize * hiddenSize
        let perLayer = layers.reduce(0) { $0 + parameterCount(of: $1) }
        return embedding + perLayer + hiddenSize + (tiesWordEmbeddings ? 0 : embedding)
    }

    /// Parameters of one decoder layer with its two norms.
    public func parameterCount(of layer: LayerGeometry) -> Int {
        let attention = 2 * hiddenSize * headDim * (layer.headCount + layer.keyValueHeadCount)
        return attention + 3 * hiddenSize * layer.intermediateSize + 2 * hiddenSize
    }
}

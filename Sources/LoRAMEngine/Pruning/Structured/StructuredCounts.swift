/// How much a structured pruning leaves of a layer, by LLM-Pruner's arithmetic, whatever the method that chooses.
public struct StructuredCounts: Sendable, Equatable {
    /// Layers that lose heads and channels.
    public let prunedLayers: Range<Int>
    public let keptKeyValueHeadCount: Int
    public let keptChannelCount: Int

    /// - Throws: `PruningError` for a ratio out of range, layers that are all kept, a ratio that leaves nothing, or a model whose
    ///   layers differ already.
    public init(config: LlamaConfig, ratio: Double, keepFirst: Int, keepLast: Int) throws {
        guard ratio >= 0, ratio < 1 else { throw PruningError.ratioOutOfRange(ratio) }
        guard config.isUniform, let geometry = config.layers.first else { throw PruningError.notUniform }
        prunedLayers = try Self.checkedLayers(config, keepFirst: keepFirst, keepLast: keepLast)
        // Truncation of doubles is LLM-Pruner's: other roundings give other models.
        let channelCount = Int(Double(geometry.intermediateSize) * (1 - ratio))
        let keyWidth = geometry.keyValueHeadCount * config.headDim
        let prunedHeadCount = (keyWidth - Int(Double(keyWidth) * (1 - ratio))) / config.headDim
        guard prunedHeadCount < geometry.keyValueHeadCount else {
            throw PruningError.nothingLeft(part: "key-value head", count: geometry.keyValueHeadCount, ratio: ratio)
        }
        guard channelCount > 0 else {
            throw PruningError.nothingLeft(part: "MLP channel", count: geometry.intermediateSize, ratio: ratio)
        }
        keptKeyValueHeadCount = geometry.keyValueHeadCount - prunedHeadCount
        keptChannelCount = channelCount
    }

    /// The layers between those that stay whole.
    ///
    /// - Throws: `PruningError.keepsEveryLayer`.
    public static func checkedLayers(_ config: LlamaConfig, keepFirst: Int, keepLast: Int) throws -> Range<Int> {
        let (kept, overflows) = keepFirst.addingReportingOverflow(keepLast)
        guard keepFirst >= 0, keepLast >= 0, !overflows, kept < config.layerCount else {
            throw PruningError.keepsEveryLayer(keepFirst: keepFirst, keepLast: keepLast, layerCount: config.layerCount)
        }
        return keepFirst..<config.layerCount - keepLast
    }

    /// The same of a recipe, whatever its method.
    public static func checkedLayers(_ config: LlamaConfig, _ pruning: PruningRecipe) throws -> Range<Int> {
        try checkedLayers(config, keepFirst: pruning.keptFirstLayerCount, keepLast: pruning.keptLastLayerCount)
    }

    /// The pruned model's shape, without saying which heads and channels it keeps.
    public func prunedConfig(of source: LlamaConfig) -> LlamaConfig {
        var pruned = source
        for layer in prunedLayers {
            let group = source.layers[layer].headCount / source.layers[layer].keyValueHeadCount
            pruned.layers[layer] = LayerGeometry(
                headCount: keptKeyValueHeadCount * group, keyValueHeadCount: keptKeyValueHeadCount, intermediateSize: keptChannelCount)
        }
        return pruned
    }

    /// Indices of the `count` highest scores, ascending. Of equal scores the later ones stay.
    static func highest(_ count: Int, of scores: [Double]) -> [Int] {
        let order = scores.indices.sorted { scores[$0] != scores[$1] ? scores[$0] < scores[$1] : $0 < $1 }
        return order.suffix(count).sorted()
    }
}

/// The method `rand`: heads and channels are removed at random.
public enum RandomPruning {
    /// Draws a uniform number for every channel of k and every MLP channel; a head has the sum of its channels'. The lowest are pruned.
    ///
    /// - Parameters:
    ///   - ratio: fraction of every pruned layer that goes, at least 0 and less than 1.
    ///   - keepFirst: first layers that stay whole.
    ///   - keepLast: last layers that stay whole.
    ///   - seed: every layer draws its own numbers from it.
    /// - Throws: `PruningError`.
    public static func plan(config: LlamaConfig, ratio: Double, keepFirst: Int = 4, keepLast: Int = 2, seed: UInt64) throws -> PruningPlan {
        let counts = try StructuredCounts(config: config, ratio: ratio, keepFirst: keepFirst, keepLast: keepLast)
        let geometry = config.layers[0]
        let layers = config.layers.indices.map { layer in
            guard counts.prunedLayers.contains(layer) else {
                return PruningPlan.Layer(
                    keyValueHeads: Array(0..<geometry.keyValueHeadCount), channels: Array(0..<geometry.intermediateSize))
            }
            let heads = CounterRandom(seed: seed, name: "pruning.\(LinearSite.k.modulePath(layer: layer))")
            let channels = CounterRandom(seed: seed, name: "pruning.\(LinearSite.gate.modulePath(layer: layer))")
            let headScores = (0..<geometry.keyValueHeadCount).map { head in
                (0..<config.headDim).reduce(0.0) { $0 + heads.uniform(at: UInt64(head * config.headDim + $1)) }
            }
            let channelScores = (0..<geometry.intermediateSize).map { channels.uniform(at: UInt64($0)) }
            return PruningPlan.Layer(
                keyValueHeads: StructuredCounts.highest(counts.keptKeyValueHeadCount, of: headScores),
                channels: StructuredCounts.highest(counts.keptChannelCount, of: channelScores))
        }
        return PruningPlan(
            method: PruningRecipe.Method.rand.rawValue, ratio: ratio, seed: seed, keepFirst: keepFirst, keepLast: keepLast,
            sourceConfigHash: config.identityHash, sourceGeometry: geometry, headDim: config.headDim, layers: layers)
    }
}

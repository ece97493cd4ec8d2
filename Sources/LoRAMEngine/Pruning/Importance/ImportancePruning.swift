/// The method `stru`: heads and channels of the least importance go.
public struct ImportancePruning: Sendable {
    public let config: LlamaConfig
    public let ratio: Double
    public let keepFirst: Int
    public let keepLast: Int
    public let seed: UInt64
    /// Rounds of scoring and removing.
    public let iterations: Int
    public let prunedLayers: Range<Int>

    /// - Throws: `PruningError` for a ratio or layers that do not go.
    public init(_ pruning: PruningRecipe, config: LlamaConfig, seed: UInt64) throws {
        self.config = config
        ratio = pruning.ratio
        keepFirst = pruning.keptFirstLayerCount
        keepLast = pruning.keptLastLayerCount
        iterations = pruning.iterations
        self.seed = seed
        prunedLayers = try StructuredCounts(config: config, ratio: ratio, keepFirst: keepFirst, keepLast: keepLast).prunedLayers
    }

    /// Which layers keep everything, before the first round.
    public var start: PruningPlan {
        let geometry = config.layers[0]
        let whole = PruningPlan.Layer(keyValueHeads: Array(0..<geometry.keyValueHeadCount), channels: Array(0..<geometry.intermediateSize))
        return plan(config.layers.map { _ in whole })
    }

    /// The plan after round `iteration` (from 0), in which the ratio has risen to ratio * (iteration + 1) / iterations.
    ///
    /// - Parameters:
    ///   - plan: after the round before.
    ///   - importances: of the model that it leaves, one a pruned layer.
    /// - Throws: `PruningError.nothingLeft`.
    public func next(_ plan: PruningPlan, iteration: Int, importances: [LayerImportance]) throws -> PruningPlan {
        let share = iteration + 1 == iterations ? ratio : ratio * Double(iteration + 1) / Double(iterations)
        let counts = try StructuredCounts(config: config, ratio: share, keepFirst: keepFirst, keepLast: keepLast)
        var layers = plan.layers
        for (layer, importance) in zip(prunedLayers, importances) {
            let old = plan.layers[layer]
            layers[layer] = PruningPlan.Layer(
                keyValueHeads: StructuredCounts.highest(counts.keptKeyValueHeadCount, of: importance.heads).map { old.keyValueHeads[$0] },
                channels: StructuredCounts.highest(counts.keptChannelCount, of: importance.channels).map { old.channels[$0] })
        }
        return self.plan(layers)
    }

    private func plan(_ layers: [PruningPlan.Layer]) -> PruningPlan {
        PruningPlan(
            method: PruningRecipe.Method.stru.rawValue, ratio: ratio, seed: seed, keepFirst: keepFirst, keepLast: keepLast,
            sourceConfigHash: config.identityHash, sourceGeometry: config.layers[0], headDim: config.headDim, layers: layers)
    }
}

import LoRAMEngine
import Testing

@Suite struct StructuredCountsTests {
    /// Tables 4, 5 and 6 of the paper (arXiv 2502.13533).
    static let published: [(model: ModelPreset, ratio: Double, original: Int, pruned: Int)] = [
        (.llama2_13B, 0.65, 13_015_864_320, 6_005_662_720),
        (.llama2_70B, 0.65, 68_976_648_192, 28_099_436_544),
        (.llama2_70B, 0.75, 68_976_648_192, 21_488_738_304),
        (.llama2_70B, 0.85, 68_976_648_192, 16_272_924_672),
        (.llama2_70B, 0.95, 68_976_648_192, 9_662_226_432),
        (.llama31_70B, 0.85, 70_553_706_496, 17_849_982_976),
    ]

    @Test(arguments: published)
    func parameterCountsAreThePapers(model: ModelPreset, ratio: Double, original: Int, pruned: Int) throws {
        let config = model.config
        #expect(config.parameterCount == original)
        let counts = try StructuredCounts(config: config, ratio: ratio, keepFirst: 4, keepLast: 2)
        #expect(counts.prunedConfig(of: config).parameterCount == pruned)
        let plan = try RandomPruning.plan(config: config, ratio: ratio, seed: 42)
        #expect(try plan.prunedConfig(of: config) == counts.prunedConfig(of: config))
    }

    @Test func widthsTruncateAsDoubles() throws {
        let counts = try StructuredCounts(config: ModelPreset.llama2_70B.config, ratio: 0.65, keepFirst: 4, keepLast: 2)
        #expect(counts.keptChannelCount == 10035)
        #expect(counts.keptKeyValueHeadCount == 3)
        #expect(counts.prunedLayers == 4..<78)
        // 1 - 0.9 is a little less than 0.1 in doubles: 40 * (1 - 0.9) truncates to 3.
        var config = ModelPreset.llama2_70B.config
        config.layers = config.layers.map { LayerGeometry(headCount: $0.headCount, keyValueHeadCount: $0.keyValueHeadCount, intermediateSize: 40) }
        #expect(try StructuredCounts(config: config, ratio: 0.9, keepFirst: 0, keepLast: 0).keptChannelCount == 3)
    }

    @Test func ratioZeroPrunesNothing() throws {
        let config = ModelPreset.llama2_7B.config
        let plan = try RandomPruning.plan(config: config, ratio: 0, seed: 1)
        #expect(try plan.prunedConfig(of: config) == config)
        #expect(plan.layers.indices.allSatisfy { plan.keptRanges(.q, layer: $0).rows == nil && plan.keptRanges(.down, layer: $0).columns == nil })
    }

    @Test(arguments: [-0.1, 1, 1.5, .nan, .infinity])
    func ratiosOutOfRange(ratio: Double) {
        #expect { try StructuredCounts(config: ModelPreset.llama2_7B.config, ratio: ratio, keepFirst: 4, keepLast: 2) } throws: { error in
            if case .ratioOutOfRange? = error as? PruningError { true } else { false }
        }
    }

    @Test(arguments: [(32, 0), (0, 32), (20, 20), (-1, 0), (0, -1), (Int.max, Int.max), (31, 1)])
    func keepsThatLeaveNothing(first: Int, last: Int) {
        #expect(throws: PruningError.keepsEveryLayer(keepFirst: first, keepLast: last, layerCount: 32)) {
            try StructuredCounts(config: ModelPreset.llama2_7B.config, ratio: 0.5, keepFirst: first, keepLast: last)
        }
    }

    /// The whole key width of 8 * 128 truncates to 0 kept channels above 1 - 1/1024.
    @Test func aRatioThatLeavesNoHead() {
        #expect(throws: PruningError.nothingLeft(part: "key-value head", count: 8, ratio: 0.9995)) {
            try RandomPruning.plan(config: ModelPreset.llama2_70B.config, ratio: 0.9995, seed: 1)
        }
        var config = ModelPreset.llama2_7B.config
        config.layers = config.layers.map { LayerGeometry(headCount: $0.headCount, keyValueHeadCount: $0.keyValueHeadCount, intermediateSize: 2) }
        #expect(throws: PruningError.nothingLeft(part: "MLP channel", count: 2, ratio: 0.6)) {
            try RandomPruning.plan(config: config, ratio: 0.6, seed: 1)
        }
    }

    @Test func aPrunedModelIsNotPrunedAgain() throws {
        let config = ModelPreset.llama2_7B.config
        let pruned = try RandomPruning.plan(config: config, ratio: 0.5, seed: 1).prunedConfig(of: config)
        #expect(throws: PruningError.notUniform) { try RandomPruning.plan(config: pruned, ratio: 0.5, seed: 1) }
    }
}

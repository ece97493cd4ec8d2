import LoRAMEngine
import Testing

@Suite struct RandomPruningTests {
    @Test func theSameSeedGivesTheSamePlan() throws {
        #expect(try SmallModel.plan(seed: 7) == SmallModel.plan(seed: 7))
        #expect(try SmallModel.plan(seed: 7).layers != SmallModel.plan(seed: 8).layers)
    }

    @Test func firstAndLastLayersStayWhole() throws {
        let plan = try SmallModel.plan()
        for layer in [0, 5, 6] {
            #expect(plan.layers[layer] == PruningPlan.Layer(keyValueHeads: Array(0..<4), channels: Array(0..<37)))
            #expect(plan.geometry(layer: layer) == plan.sourceGeometry)
        }
        for layer in 1...4 {
            // 24 - int(24 * 0.4) = 15 channels are two whole heads; int(37 * 0.4) = 14 channels stay.
            #expect(plan.layers[layer].keyValueHeads.count == 2)
            #expect(plan.layers[layer].channels.count == 14)
            #expect(plan.geometry(layer: layer) == LayerGeometry(headCount: 4, keyValueHeadCount: 2, intermediateSize: 14))
        }
    }

    @Test func layersDrawTheirOwnNumbers() throws {
        let plan = try SmallModel.plan()
        #expect(Set(plan.layers[1...4].map(\.channels)).count == 4)
    }

    /// A uniform number per channel of k; a head's score is their sum; the lowest go.
    @Test func headsWithTheHighestSumsStay() throws {
        let plan = try SmallModel.plan(seed: 7)
        for layer in 1...4 {
            let random = CounterRandom(seed: 7, name: "pruning.model.layers.\(layer).self_attn.k_proj")
            var sums = [Double](repeating: 0, count: 4)
            for channel in 0..<24 { sums[channel / 6] += random.uniform(at: UInt64(channel)) }
            let best = sums.enumerated().sorted { $0.element > $1.element }.prefix(2).map(\.offset).sorted()
            #expect(plan.layers[layer].keyValueHeads == best)
        }
    }

    /// Over many layers and seeds every head and channel is kept about as often as any other.
    @Test func nobodyIsPreferred() throws {
        var heads = [Int](repeating: 0, count: 4)
        var channels = [Int](repeating: 0, count: 37)
        for seed in 0..<200 as Range<UInt64> {
            let plan = try SmallModel.plan(seed: seed)
            for layer in plan.layers[1...4] {
                for head in layer.keyValueHeads { heads[head] += 1 }
                for channel in layer.channels { channels[channel] += 1 }
            }
        }
        // Expected 400 of 800 and 303 of 800; five standard deviations are 71 and 69.
        #expect(heads.allSatisfy { abs($0 - 400) < 71 })
        #expect(channels.allSatisfy { abs($0 - 303) < 69 })
    }

    @Test func rangesCoverWhatIsKept() throws {
        let plan = try SmallModel.plan()
        let layer = plan.layers[2]
        func indices(_ ranges: [Range<Int>]?) -> [Int]? { ranges.map { $0.flatMap { Array($0) } } }
        #expect(indices(plan.keptRanges(.gate, layer: 2).rows) == layer.channels)
        #expect(indices(plan.keptRanges(.up, layer: 2).rows) == layer.channels)
        #expect(indices(plan.keptRanges(.down, layer: 2).columns) == layer.channels)
        let keys = layer.keyValueHeads.flatMap { Array($0 * 6..<($0 + 1) * 6) }
        #expect(indices(plan.keptRanges(.k, layer: 2).rows) == keys)
        #expect(indices(plan.keptRanges(.v, layer: 2).rows) == keys)
        let queries = layer.keyValueHeads.flatMap { Array($0 * 12..<($0 + 1) * 12) }
        #expect(indices(plan.keptRanges(.q, layer: 2).rows) == queries)
        #expect(indices(plan.keptRanges(.o, layer: 2).columns) == queries)
        for site in LinearSite.allCases {
            let (rows, columns) = plan.keptRanges(site, layer: 0)
            #expect(rows == nil && columns == nil)
        }
        for ranges in [plan.keptRanges(.gate, layer: 2).rows!, plan.keptRanges(.q, layer: 2).rows!] {
            #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
        }
    }
}

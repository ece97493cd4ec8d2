import LoRAMDist
import LoRAMEngine
import TestSupport
import Testing

struct PartitionTests {
    /// Llama 3.1 70B pruned at 0.85: layers 4 ..< 78 keep 2 of 8 key-value heads and 4300 of 28672 channels.
    static let pruned70B: LlamaConfig = {
        let whole = LayerGeometry(headCount: 64, keyValueHeadCount: 8, intermediateSize: 28_672)
        let narrow = LayerGeometry(headCount: 16, keyValueHeadCount: 2, intermediateSize: 4_300)
        return LlamaConfig(
            hiddenSize: 8_192, vocabularySize: 128_256, headDim: 128, maxPositionCount: 131_072,
            layers: (0..<80).map { (4..<78).contains($0) ? narrow : whole }, rmsNormEpsilon: 1e-5,
            rope: RoPEConfig(theta: 500_000), tiesWordEmbeddings: false, dtype: .bf16)
    }()

    private static let frozen = ModelCost(
        config: pruned70B, training: .lora(LoRAConfig(rank: 8, alpha: 16, targets: [])), contextLength: 0, recompute: false)

    private static func efficiencyOfEqualCounts(_ cost: ModelCost, stages: Int) -> Double {
        let size = cost.layers.count / stages
        var costs = (0..<stages).map { stage in
            cost.layers[stage * size..<(stage + 1) * size].reduce(0) { $0 + $1.total }
        }
        costs[stages - 1] += cost.head.total
        return costs.reduce(0, +) / (Double(stages) * costs.max()!)
    }

    @Test func wholeLayerAndHeadAgainstAPrunedLayer() {
        let cost = Self.frozen
        #expect(abs(cost.layers[0].total / cost.layers[4].total - 5.97) < 0.005)
        #expect(abs(cost.head.total / cost.layers[4].total - 7.3) < 0.05)
    }

    @Test func balancedStagesOfPruned70B() throws {
        let partition = try Self.frozen.partition(stages: 4)
        #expect(partition.layers.map(\.count) == [10, 29, 29, 12])
        #expect(partition.layers.last == 68..<80)
    }

    @Test(arguments: [(4, 0.98, 0.735), (8, 0.92, 0.49), (16, 0.915, 0.29)])
    func efficiencyAgainstEqualCounts(stages: Int, weighted: Double, equal: Double) throws {
        let partition = try Self.frozen.partition(stages: stages)
        #expect(abs(partition.efficiency - weighted) < 0.005, "\(partition.layers)")
        #expect(abs(Self.efficiencyOfEqualCounts(Self.frozen, stages: stages) - equal) < 0.005)
    }

    @Test func stageCostsAddUpToTheModel() throws {
        let lora = LoRAConfig(rank: 8, alpha: 16, targets: LinearSite.allCases)
        let cost = ModelCost(config: Self.pruned70B, training: .lora(lora), contextLength: 512, recompute: true)
        let partition = try cost.partition(stages: 4)
        let stages = (0..<4).map { cost.stage($0, of: partition) }
        #expect(abs(stages.reduce(0) { $0 + $1.total } / cost.total.total - 1) < 1e-12)
        // The cut counts gradients that the first stage then leaves out.
        let left = [cost.unneededGradients.total, 0, 0, 0]
        for (stage, expected) in zip(zip(stages, left), partition.costs) { #expect(abs((stage.0.total + stage.1) / expected - 1) < 1e-12) }
    }

    /// Every cut of a short list, the head alone in the last stage included.
    private func best(_ costs: [Double], head: Double, stages: Int) -> Double {
        func search(_ units: ArraySlice<Double>, _ parts: Int) -> Double {
            guard parts > 1 else { return units.reduce(0, +) }
            var result = Double.infinity
            for end in units.startIndex + 1...units.endIndex - parts + 1 {
                result = min(result, max(units[..<end].reduce(0, +), search(units[end...], parts - 1)))
            }
            return result
        }
        return search((costs + [head])[...], stages)
    }

    @Test(arguments: 0..<40)
    func isOptimal(seed: Int) throws {
        let count = 3 + seed % 7
        let costs = (0..<count).map { Double(RepeatableValues.bits(seed, $0) % 20) }
        let head = Double(RepeatableValues.bits(seed, 99) % 30)
        for stages in 1...count {
            let partition = try Partition(layerCosts: costs, embeddingCost: 0, headCost: head, stages: stages)
            #expect(partition.largestCost == best(costs, head: head, stages: stages))
            #expect(partition.layers.flatMap { Array($0) } == Array(0..<count))
            #expect(partition.layers.dropLast().allSatisfy { !$0.isEmpty })
            #expect(partition.costs.reduce(0, +) == costs.reduce(0, +) + head)
            #expect(try partition == Partition(layerCosts: costs, embeddingCost: 0, headCost: head, stages: stages))
        }
    }

    @Test func theEmbeddingBelongsToTheFirstStage() throws {
        let partition = try Partition(layerCosts: [1, 1, 1, 1], embeddingCost: 2, headCost: 0, stages: 2)
        #expect(partition.layers == [0..<1, 1..<4])
        #expect(partition.costs == [3, 3])
    }

    /// Among cuts with the same largest cost the most even one is taken.
    @Test func restOfTheStagesIsEvenToo() throws {
        let partition = try Partition(layerCosts: [10, 1, 1, 1, 1], embeddingCost: 0, headCost: 0, stages: 3)
        #expect(partition.layers == [0..<1, 1..<3, 3..<5])
    }

    @Test func whatCannotBeCut() {
        #expect(throws: TopologyError.tooManyStages(stages: 3, layers: 2)) {
            try Partition(layerCosts: [1, 1], embeddingCost: 0, headCost: 1, stages: 3)
        }
        #expect(throws: TopologyError.notPositive(key: "parallel.stages", found: 0)) {
            try Partition(layerCosts: [1], embeddingCost: 0, headCost: 1, stages: 0)
        }
        #expect(throws: TopologyError.badCost(index: 1, found: .infinity)) {
            try Partition(layerCosts: [1, .infinity], embeddingCost: 0, headCost: 1, stages: 1)
        }
        #expect(throws: TopologyError.badCost(index: 2, found: -1)) {
            try Partition(layerCosts: [1, 1], embeddingCost: 0, headCost: -1, stages: 1)
        }
    }
}

import LoRAMDist
import LoRAMEngine
import Testing

struct GridChoiceTests {
    /// 13B at 0.65, whose weights are 11 of the 12 GiB that one rank takes.
    private static let memories: @Sendable (ParallelDims) throws -> [StageMemory] = { dims in
        try TrainingLayout(config: PlanFixture.pruned(.llama2_13B, 0.65), settings: PlanFixture.settings(["batch.micro=1", "data.length=64"]), dims: dims)
            .memories(weights: WeightBytes(), sharesFrozen: true, kernels: PlanFixture.kernels, workers: 4, process: PlanFixture.process)
    }

    private func resolve(_ nodes: NodeMap, _ overrides: [String] = []) throws -> [Int] {
        let parallel = try Recipe.load(file: nil, overrides: overrides).parallel
        let dims = try GridChoice(nodes: nodes, layers: 40, memories: Self.memories).resolve(parallel) { $0.nonzeroBitCount == 1 && $0 <= 8 }
        return [dims.stages, dims.replicas]
    }

    @Test func autoTakesTheFewestStagesThatFit() throws {
        #expect(try resolve(NodeMap(nodes: 4, ranksPerNode: 1, memoryByteCount: 64 << 30)) == [1, 4])
        #expect(try resolve(NodeMap(nodes: 4, ranksPerNode: 1, memoryByteCount: 12 << 30)) == [2, 2])
        #expect(try resolve(NodeMap(nodes: 4, ranksPerNode: 1, memoryByteCount: 6 << 30)) == [4, 1])
        // What is given is obeyed.
        #expect(try resolve(NodeMap(nodes: 4, ranksPerNode: 1, memoryByteCount: 1 << 30), ["parallel.stages=2"]) == [2, 2])
    }

    /// Mapped weights are there once for all replicas of a stage on a node.
    @Test func replicasOfANodeShareTheirWeights() throws {
        let dims = try ParallelDims(stages: 1, replicas: 4), memory = try Self.memories(dims)
        let shared = NodeMap(nodes: 1, ranksPerNode: 4, memoryByteCount: 64 << 30).usage(dims, memory)
        let apart = NodeMap(nodes: 2, ranksPerNode: 2, memoryByteCount: 64 << 30).usage(dims, memory)
        #expect(shared == [4 * memory[0].own + memory[0].frozen])
        #expect(apart == [2 * memory[0].own + memory[0].frozen, 2 * memory[0].own + memory[0].frozen])
        var own = memory
        own[0].sharesFrozen = false
        #expect(NodeMap(nodes: 1, ranksPerNode: 4, memoryByteCount: 64 << 30).usage(dims, own) == [4 * memory[0].total])
        let cut = try ParallelDims(stages: 2, replicas: 2), halves = try Self.memories(cut)
        #expect(
            NodeMap(nodes: 1, ranksPerNode: 4, memoryByteCount: 64 << 30).usage(cut, halves)
                == [halves.reduce(0) { $0 + 2 * $1.own + $1.frozen }])
    }

    @Test func whatDoesNotFitIsToldWhatWould() throws {
        let error = try #require(throws: TopologyError.self) { try resolve(NodeMap(nodes: 2, ranksPerNode: 1, memoryByteCount: 4 << 30)) }
        #expect(error.exitCode == .usage && !error.description.contains("\n"))
        let text = error.description, stages = try #require(text.firstMatch(of: #/; (\d+) stages, 1 rank on each of (\d+) such nodes, would fit/#))
        let count = try #require(Int(stages.1))
        #expect(stages.1 == stages.2 && count > 2)
        // It is so, and with one fewer it is not.
        #expect(try resolve(NodeMap(nodes: count, ranksPerNode: 1, memoryByteCount: 4 << 30))[0] == count)
        let fewer = try ParallelDims(stages: count - 1, replicas: 1)
        #expect(!NodeMap(nodes: count - 1, ranksPerNode: 1, memoryByteCount: 4 << 30).fits(fewer, try Self.memories(fewer)))
        let never = try #require(throws: TopologyError.self) { try resolve(NodeMap(nodes: 2, ranksPerNode: 1, memoryByteCount: 64 << 20)) }
        #expect(never.description.contains("not even one layer"))
    }

    private func search(_ cluster: GridSearch.Cluster, _ overrides: [String] = []) throws -> GridSearch {
        try GridSearch(
            config: PlanFixture.pruned(.llama2_13B, 0.65), settings: PlanFixture.settings(overrides), weights: WeightBytes(), sharesFrozen: true,
            kernels: PlanFixture.kernels, process: PlanFixture.process, hasMasks: false, cluster: cluster, speed: PlanSpeed(rates: StepRates(50), coresPerRank: 1))
    }

    @Test func theSearchTakesTheFastestThatFits() throws {
        for memory in [8, 16, 64] {
            let found = try search(GridSearch.Cluster(nodes: 4, cores: 16, memoryByteCount: memory << 30))
            #expect(found.best.fits && Double(found.best.nodeByteCount) <= Double(memory << 30) * NodeMap.usableFraction)
            let fitting = found.alternatives.filter(\.fits)
            #expect(fitting.allSatisfy { $0.plan.stepSeconds >= found.best.plan.stepSeconds })
            #expect(zip(fitting, fitting.dropFirst()).allSatisfy { $0.plan.stepSeconds <= $1.plan.stepSeconds })
            #expect(found.alternatives.drop { $0.fits }.allSatisfy { !$0.fits })
            for candidate in [found.best] + found.alternatives {
                #expect(candidate.dims.computeRanks == 4 * candidate.ranksPerNode && candidate.plan.speed.coresPerRank == 16 / candidate.ranksPerNode)
            }
            // Pages of weights that all ranks of a node share make one stage the least work, where it fits.
            #expect((found.best.dims.stages == 1) == (memory > 8))
        }
    }

    @Test func aClusterThatIsTooSmall() throws {
        let error = try #require(throws: PlanError.self) { try search(GridSearch.Cluster(nodes: 2, cores: 4, memoryByteCount: 3 << 30)) }
        guard case .nothingFits(2, 3 << 30, let least, let remedy) = error else { throw error }
        #expect(least > 3 << 30)
        let nodes = try #require(remedy.firstMatch(of: #/^(\d+) such nodes would do/#).flatMap { Int($0.1) })
        #expect(try search(GridSearch.Cluster(nodes: nodes, cores: 4, memoryByteCount: 3 << 30)).best.fits)
        // Replicas that no batch can share.
        #expect(throws: PlanError.noGrid(nodes: 123, cores: 1, layers: 40)) {
            try search(GridSearch.Cluster(nodes: 41 * 3, cores: 1, memoryByteCount: 64 << 30))
        }
    }
}

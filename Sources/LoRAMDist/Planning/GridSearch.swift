import LoRAMEngine

/// The fastest grid of a cluster that fits its memory, and what the others would cost.
public struct GridSearch: Sendable {
    public struct Cluster: Sendable, Equatable {
        public var nodes: Int
        /// Of each node.
        public var cores: Int
        public var memoryByteCount: Int

        public init(nodes: Int, cores: Int, memoryByteCount: Int) {
            self.nodes = nodes
            self.cores = cores
            self.memoryByteCount = memoryByteCount
        }
    }

    /// One setting of the search.
    public struct Candidate: Sendable {
        public let plan: GridPlan
        public let ranksPerNode: Int
        /// Bytes on the node that needs most.
        public let nodeByteCount: Int
        public let fits: Bool

        public var dims: ParallelDims { plan.layout.dims }
        public var micro: Int { plan.layout.settings.batch.micro }
    }

    public let cluster: Cluster
    public let best: Candidate
    /// For every grid the fastest micro-batch that fits, or the one that needs the least memory where none does; those that fit first,
    /// then by time.
    public let alternatives: [Candidate]

    /// Ranks of a node that are tried; one for each NUMA domain is the intended shape.
    private static let ranksPerNode = [1, 2, 4, 8]
    private static let microBatches = [1, 2, 4, 8, 16, 32]

    /// Every grid over all nodes is tried, with 1 to 8 ranks a node and micro-batches from 1 to 32 and the setting's own.
    ///
    /// - Parameters:
    ///   - speed: cores and ranks of a node in it are set by the search.
    /// - Throws: `PlanError.nothingFits` with what would, `.noGrid`.
    public init(
        config: LlamaConfig, settings: TrainingSettings, weights: WeightBytes, sharesFrozen: Bool, kernels: ComputeKernels, process: ProcessMemory,
        hasMasks: Bool, cluster: Cluster, speed: PlanSpeed
    ) throws {
        self.cluster = cluster
        let search = Enumeration(
            config: config, settings: settings, weights: weights, sharesFrozen: sharesFrozen, kernels: kernels, process: process, hasMasks: hasMasks,
            speed: speed)
        let found = try search.candidates(cluster)
        guard let first = found.first else { throw PlanError.noGrid(nodes: cluster.nodes, cores: cluster.cores, layers: config.layerCount) }
        guard first.fits else {
            throw PlanError.nothingFits(
                nodes: cluster.nodes, memoryByteCount: cluster.memoryByteCount, least: found.map(\.nodeByteCount).min()!,
                remedy: try search.remedy(cluster))
        }
        best = first
        alternatives = Array(found.dropFirst())
    }

    private struct Enumeration {
        let config: LlamaConfig
        let settings: TrainingSettings
        let weights: WeightBytes
        let sharesFrozen: Bool
        let kernels: ComputeKernels
        let process: ProcessMemory
        let hasMasks: Bool
        let speed: PlanSpeed

        /// The best of each grid, those that fit first, then by time, then by memory.
        func candidates(_ cluster: Cluster) throws -> [Candidate] {
            var found: [Candidate] = []
            for ranks in ranksPerNode where ranks <= cluster.cores {
                let worldSize = ranks * cluster.nodes
                for stages in 1...min(worldSize, config.layerCount) where worldSize.isMultiple(of: stages) {
                    let tried = try micros.compactMap { try candidate(cluster, ranks, stages: stages, replicas: worldSize / stages, micro: $0) }
                    if let best = tried.min(by: Self.isBetter) { found.append(best) }
                }
            }
            return found.sorted(by: Self.isBetter)
        }

        private static func isBetter(_ a: Candidate, _ b: Candidate) -> Bool {
            if a.fits != b.fits { return a.fits }
            if !a.fits, a.nodeByteCount != b.nodeByteCount { return a.nodeByteCount < b.nodeByteCount }
            if a.plan.stepSeconds != b.plan.stepSeconds { return a.plan.stepSeconds < b.plan.stepSeconds }
            return (a.nodeByteCount, a.dims.stages, a.micro) < (b.nodeByteCount, b.dims.stages, b.micro)
        }

        private var micros: [Int] {
            Set(microBatches + [settings.batch.micro]).filter { settings.batch.global.isMultiple(of: $0) }.sorted()
        }

        /// nil where the replicas cannot share the batch.
        private func candidate(_ cluster: Cluster, _ ranks: Int, stages: Int, replicas: Int, micro: Int) throws -> Candidate? {
            var settings = settings
            settings.batch.micro = micro
            let dims = try ParallelDims(stages: stages, replicas: replicas)
            let layout: TrainingLayout
            do { layout = try TrainingLayout(config: config, settings: settings, dims: dims) } catch is GradientGroupsError { return nil }
            var speed = speed
            (speed.ranksPerNode, speed.coresPerRank) = (ranks, cluster.cores / ranks)
            let memories = layout.memories(
                weights: weights, sharesFrozen: sharesFrozen, kernels: kernels, workers: speed.coresPerRank, process: process, hasMasks: hasMasks)
            let map = NodeMap(nodes: cluster.nodes, ranksPerNode: ranks, memoryByteCount: cluster.memoryByteCount)
            return Candidate(
                plan: try GridPlan(layout, memories: memories, speed: speed), ranksPerNode: ranks,
                nodeByteCount: map.usage(dims, memories).max() ?? 0, fits: map.fits(dims, memories))
        }

        /// More nodes of the kind, or more memory on each.
        func remedy(_ cluster: Cluster) throws -> String {
            var larger = cluster
            while larger.nodes < 2 * max(cluster.nodes, config.layerCount) {
                larger.nodes *= 2
                if let first = try candidates(larger).first, first.fits {
                    return "\(larger.nodes) such nodes would do (\(first.dims.stages) stages x \(first.dims.replicas) replicas, micro-batch \(first.micro))"
                }
            }
            return "no number of such nodes is enough: prune more, quantize, or shorten data.length"
        }
    }
}

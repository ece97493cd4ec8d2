import LoRAMEngine

/// `parallel.stages: auto`, `parallel.replicas: auto`: the grid for a job's ranks, by the memory of the machines that they run on.
public struct GridChoice {
    /// The ranks that compute, and their machines.
    public let nodes: NodeMap
    public let layers: Int
    /// Memory of each stage on a grid.
    public let memories: (ParallelDims) throws -> [StageMemory]

    public init(nodes: NodeMap, layers: Int, memories: @escaping (ParallelDims) throws -> [StageMemory]) {
        self.nodes = nodes
        self.layers = layers
        self.memories = memories
    }

    /// The fewest stages that fit, with as many replicas as the ranks allow. What is given is obeyed, whether it fits or not.
    ///
    /// - Throws: `TopologyError`, whose line says what would fit.
    public func resolve(_ parallel: ParallelRecipe, allowsReplicas: (Int) -> Bool) throws -> ParallelDims {
        var failure: (any Error)?
        var least: (dims: ParallelDims, pressure: Double)?
        func fits(_ dims: ParallelDims) -> Bool {
            do {
                let pressure = nodes.pressure(dims, try memories(dims))
                if pressure < least?.pressure ?? .infinity { least = (dims, pressure) }
                return pressure <= 1
            } catch {
                failure = failure ?? error
                return false
            }
        }
        let isDedicated = parallel.coordinator == .dedicated
        do {
            return try ParallelDims.resolve(
                stages: parallel.stages.given, replicas: parallel.replicas.given, hasDedicatedCoordinator: isDedicated,
                worldSize: nodes.worldSize + (isDedicated ? 1 : 0),
                layers: layers, allowsReplicas: allowsReplicas, fits: fits)
        } catch {
            if let failure { throw failure }
            guard let least else { throw error }
            throw TopologyError.exceedsMemory(
                stages: least.dims.stages, replicas: least.dims.replicas, needed: largestNode(least.dims, in: nodes).needed,
                available: largestNode(least.dims, in: nodes).available, remedy: remedy)
        }
    }

    /// On the node with the least room.
    private func largestNode(_ dims: ParallelDims, in map: NodeMap) -> (needed: Int, available: Int) {
        let usage = (try? map.usage(dims, memories(dims))) ?? []
        let nodes = zip(usage, map.memoryByteCounts).map { (needed: $0, available: Int(Double($1) * NodeMap.usableFraction)) }
        return nodes.max { $0.needed - $0.available < $1.needed - $1.available } ?? (0, 0)
    }

    /// The fewest ranks of this job's kind that would do: first on the machines that it has, then on more of them.
    private var remedy: String {
        let memory = nodes.memoryByteCounts.min() ?? 0, count = nodes.memoryByteCounts.count
        let ranksPerNode = max(1, nodes.worldSize / count)
        for stages in stride(from: 1, through: layers, by: 1) {
            guard let dims = try? ParallelDims(stages: stages, replicas: 1), let memories = try? memories(dims) else { continue }
            // One rank a node leaves each the most.
            let spread = NodeMap(nodes: stages, ranksPerNode: 1, memoryByteCount: memory)
            guard spread.fits(dims, memories) else { continue }
            var ranks = ranksPerNode
            while ranks > 1, !NodeMap(nodes: (stages + ranks - 1) / ranks, ranksPerNode: ranks, memoryByteCount: memory).fits(dims, memories) { ranks -= 1 }
            let nodeCount = (stages + ranks - 1) / ranks
            return "\(stages) stages, \(ranks) rank\(ranks == 1 ? "" : "s") on each of \(nodeCount) such node\(nodeCount == 1 ? "" : "s"), would fit"
        }
        return "not even one layer a rank would fit: lower batch.micro or data.length"
    }
}

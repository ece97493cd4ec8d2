import LoRAMEngine

/// Which ranks share a machine, and how much memory each machine has.
public struct NodeMap: Sendable, Equatable {
    /// Node of each rank.
    public let nodes: [Int]
    /// Bytes of each node.
    public let memoryByteCounts: [Int]

    /// Share of a node's memory that ranks may plan with; the rest is the system's.
    public static let usableFraction = 0.95

    /// Ranks in blocks: a node is filled before the next.
    public init(nodes: Int, ranksPerNode: Int, memoryByteCount: Int) {
        self.nodes = (0..<nodes * ranksPerNode).map { $0 / ranksPerNode }
        memoryByteCounts = Array(repeating: memoryByteCount, count: nodes)
    }

    /// All ranks of `world` call this: the job's own nodes. Where ranks of a node see different limits the smallest counts.
    /// - Parameter rankByteCount: of memory that each rank may plan with, if that is less than its share of the node.
    public init(_ world: Communicator, rankByteCount: Int? = nil) throws {
        let node = try world.splitByNode()
        // The smallest of both, as the largest of their negatives.
        let leader = -(try node.allReduce(Int64(-world.rank), .max)), memory = -(try node.allReduce(Int64(-Machine.memoryByteCount), .max))
        try node.free()
        let all: [Int64] = try world.allGather([leader, memory])
        let leaders = (0..<world.size).map { all[2 * $0] }, unique = Array(Set(leaders)).sorted()
        nodes = leaders.map { unique.firstIndex(of: $0)! }
        memoryByteCounts = unique.map { leader in
            let ranks = leaders.count { $0 == leader }
            let given = rankByteCount.map { Int((Double($0 * ranks) / Self.usableFraction).rounded(.up)) } ?? .max
            return min(Int(all[2 * Int(leader) + 1]), given)
        }
    }

    /// A rank's share of its node's memory.
    func usableByteCount(ofRank rank: Int) -> Int {
        Int(Double(memoryByteCounts[nodes[rank]]) * Self.usableFraction) / nodes.count { $0 == nodes[rank] }
    }

    public var worldSize: Int { nodes.count }

    /// Bytes that a grid takes on each node. Frozen weights that are mapped count once for all replicas of a stage on the node.
    public func usage(_ dims: ParallelDims, _ memories: [StageMemory]) -> [Int] {
        precondition(memories.count == dims.stages && dims.computeRanks <= nodes.count)
        var usage = [Int](repeating: 0, count: memoryByteCounts.count)
        for stage in 0..<dims.stages {
            var lastNode = -1
            for replica in 0..<dims.replicas {
                // A stage's replicas are neighbours: they change node only forwards.
                let node = nodes[dims.rank(stage: stage, replica: replica)]
                usage[node] += memories[stage].own
                if !memories[stage].sharesFrozen || node != lastNode { usage[node] += memories[stage].frozen }
                lastNode = node
            }
        }
        return usage
    }

    /// Largest share of a node's usable memory that a grid takes: it fits where this is at most 1.
    public func pressure(_ dims: ParallelDims, _ memories: [StageMemory]) -> Double {
        zip(usage(dims, memories), memoryByteCounts).map { Double($0) / (Double($1) * Self.usableFraction) }.max() ?? 0
    }

    public func fits(_ dims: ParallelDims, _ memories: [StageMemory]) -> Bool { pressure(dims, memories) <= 1 }
}

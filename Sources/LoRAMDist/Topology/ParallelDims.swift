/// The shape of a job: pipeline stages x data-parallel replicas, and optionally one more rank that only coordinates.
///
/// rank = stage * replicas + replica (replica fastest: the replicas of a stage are neighbours and share a node, its page cache
/// and its all-reduce). A dedicated coordinator is the last rank, a shared one is rank 0, which also computes.
public struct ParallelDims: Sendable, Equatable {
    public let stages: Int
    public let replicas: Int
    public let hasDedicatedCoordinator: Bool

    /// Where in the grid a rank computes.
    public struct Position: Sendable, Equatable {
        public let stage: Int
        public let replica: Int

        public init(stage: Int, replica: Int) {
            self.stage = stage
            self.replica = replica
        }
    }

    /// Throws `TopologyError.notPositive`.
    public init(stages: Int, replicas: Int, hasDedicatedCoordinator: Bool = false) throws(TopologyError) {
        guard stages > 0 else { throw .notPositive(key: "parallel.stages", found: stages) }
        guard replicas > 0 else { throw .notPositive(key: "parallel.replicas", found: replicas) }
        self.stages = stages
        self.replicas = replicas
        self.hasDedicatedCoordinator = hasDedicatedCoordinator
    }

    /// Ranks that hold a stage.
    public var computeRanks: Int { stages * replicas }
    /// Ranks of the job.
    public var worldSize: Int { computeRanks + (hasDedicatedCoordinator ? 1 : 0) }
    public var coordinatorRank: Int { hasDedicatedCoordinator ? computeRanks : 0 }

    public func rank(stage: Int, replica: Int) -> Int {
        precondition(0..<stages ~= stage && 0..<replicas ~= replica)
        return stage * replicas + replica
    }

    /// nil for a dedicated coordinator.
    public func position(ofRank rank: Int) -> Position? {
        precondition(0..<worldSize ~= rank)
        guard rank < computeRanks else { return nil }
        return Position(stage: rank / replicas, replica: rank % replicas)
    }

    /// Throws `TopologyError.worldSizeMismatch`, which says how many ranks would fit.
    public func validate(worldSize found: Int) throws(TopologyError) {
        guard found == worldSize else {
            throw .worldSizeMismatch(stages: stages, replicas: replicas, dedicated: hasDedicatedCoordinator, found: found)
        }
    }
}

/// The communicators of a job's grid, as seen from this rank.
///
/// A rank that computes belongs to its pipeline (same replica, all stages; rank there = stage), to its replica group (same stage,
/// all replicas; rank there = replica) and to the training group (all ranks that compute). A dedicated coordinator belongs to
/// none of them.
public struct ProcessGrid {
    /// What a rank that computes has.
    public struct Seat {
        public let position: ParallelDims.Position
        public let pipeline: Communicator
        public let replicas: Communicator
        public let training: Communicator
    }

    public let dims: ParallelDims
    public let world: Communicator
    /// nil on a dedicated coordinator.
    public let seat: Seat?

    /// All ranks of `world` call this with the same `dims`. Throws `TopologyError` if the sizes differ, `MPIError` otherwise.
    public init(dims: ParallelDims, world: Communicator) throws {
        try dims.validate(worldSize: world.size)
        self.dims = dims
        self.world = world
        let position = dims.position(ofRank: world.rank)
        let training = try world.split(color: position.map { _ in 0 }, key: world.rank)
        let pipeline = try world.split(color: position?.replica, key: position?.stage ?? 0)
        let replicas = try world.split(color: position?.stage, key: position?.replica ?? 0)
        guard let position, let training, let pipeline, let replicas else {
            seat = nil
            return
        }
        seat = Seat(position: position, pipeline: pipeline, replicas: replicas, training: training)
    }

    public var isCoordinator: Bool { world.rank == dims.coordinatorRank }

    /// All ranks call this, when the last operation on the grid's groups is done.
    public func free() throws {
        try seat?.replicas.free()
        try seat?.pipeline.free()
        try seat?.training.free()
    }
}

/// The communicators of a job's grid, as seen from this rank.
///
/// A rank belongs to its pipeline (same replica, all stages; rank there = stage), to its replica group (same stage, all replicas; rank
/// there = replica) and to the training group (all ranks of the grid).
public struct ProcessGrid {
    /// A rank's place, and its groups.
    public struct Seat {
        public let position: ParallelDims.Position
        public let pipeline: Communicator
        public let replicas: Communicator
        public let training: Communicator
    }

    public let dims: ParallelDims
    public let seat: Seat

    /// All ranks of `world`, those that compute, call this with the same `dims`. Throws `TopologyError` if the sizes differ, `MPIError`
    /// otherwise.
    public init(dims: ParallelDims, world: Communicator) throws {
        try dims.validate(worldSize: world.size + (dims.hasDedicatedCoordinator ? 1 : 0))
        self.dims = dims
        guard let position = dims.position(ofRank: world.rank), let training = try world.split(color: 0, key: world.rank),
            let pipeline = try world.split(color: position.replica, key: position.stage),
            let replicas = try world.split(color: position.stage, key: position.replica)
        else { preconditionFailure("every rank of the grid has a seat") }
        seat = Seat(position: position, pipeline: pipeline, replicas: replicas, training: training)
    }

    /// All ranks call this, when the last operation on the grid's groups is done.
    public func free() throws {
        try seat.replicas.free()
        try seat.pipeline.free()
        try seat.training.free()
    }
}

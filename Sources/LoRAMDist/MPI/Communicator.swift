import Foundation
internal import CMPI

/// A group of ranks that exchange messages among themselves. All ranks of the group call each collective, in the same order.
///
/// Every operation is built on MPI's non-blocking calls and waits by polling, so that a waiting rank gives its core away.
/// Used by the main thread only (MPI_THREAD_FUNNELED).
public final class Communicator {
    let handle: MPI_Comm
    /// Ranks in the group.
    public let size: Int
    /// This process's rank in the group.
    public let rank: Int
    /// Rank in the whole job of each member; messages name these.
    public let worldRanks: [Int]
    /// Most elements that one MPI call may move: its counts are C ints. Larger operations go in pieces. The same on all ranks; tests
    /// lower it.
    public var countLimit = Int(Int32.max)
    /// Most elements of a piece of a message or broadcast, within `countLimit`. With 1 MiB of f32 pieces cost nothing yet, long
    /// messages stream, and waits notice that one is arriving (`PollPacer`). The same on all ranks.
    public var messagePieceLimit: Int {
        get { min(pieceLimit, countLimit) }
        set { pieceLimit = newValue }
    }
    private var pieceLimit = 1 << 18
    private let isOwned: Bool
    private var isFree = false

    /// Takes over `handle`; an owned one is freed by `free()`.
    init(handle: MPI_Comm, isOwned: Bool) throws(MPIError) {
        var size: Int32 = 0
        var rank: Int32 = 0
        try checkMPI(MPI_Comm_set_errhandler(handle, loram_mpi_errors_return()), "MPI_Comm_set_errhandler", rank: 0)
        try checkMPI(MPI_Comm_size(handle, &size), "MPI_Comm_size", rank: 0)
        try checkMPI(MPI_Comm_rank(handle, &rank), "MPI_Comm_rank", rank: 0)
        self.handle = handle
        self.size = Int(size)
        self.rank = Int(rank)
        self.isOwned = isOwned
        worldRanks = try Self.worldRanks(of: handle, size: Int(size), rank: Int(rank))
    }

    /// This process's rank in the whole job.
    public var worldRank: Int { worldRanks[rank] }

    private static func worldRanks(of handle: MPI_Comm, size: Int, rank: Int) throws(MPIError) -> [Int] {
        var group: MPI_Group?
        var world: MPI_Group?
        try checkMPI(MPI_Comm_group(handle, &group), "MPI_Comm_group", rank: rank)
        try checkMPI(MPI_Comm_group(loram_mpi_comm_world(), &world), "MPI_Comm_group", rank: rank)
        let members = (0..<Int32(size)).map { $0 }
        var translated = [Int32](repeating: 0, count: size)
        try checkMPI(
            MPI_Group_translate_ranks(group, Int32(size), members, world, &translated), "MPI_Group_translate_ranks", rank: rank)
        try checkMPI(MPI_Group_free(&group), "MPI_Group_free", rank: rank)
        try checkMPI(MPI_Group_free(&world), "MPI_Group_free", rank: rank)
        return translated.map { Int($0) }
    }

    // MARK: Subgroups

    /// All ranks call this. Ranks that give the same color form a group, ordered by key, then by rank here; a rank that gives nil
    /// belongs to none and gets nil.
    public func split(color: Int?, key: Int) throws -> Communicator? {
        precondition(color.map { $0 >= 0 } ?? true, "a color is not negative")
        var result: MPI_Comm?
        let code = MPI_Comm_split(handle, color.map { Int32($0) } ?? Int32(loram_mpi_undefined()), Int32(key), &result)
        try checkMPI(code, "MPI_Comm_split", rank: worldRank)
        return try adopt(result)
    }

    /// All ranks call this: the group of the ranks that share this one's memory, that is, its node.
    public func splitByNode() throws -> Communicator {
        var result: MPI_Comm?
        let code = MPI_Comm_split_type(handle, loram_mpi_type_shared(), Int32(rank), loram_mpi_info_null(), &result)
        try checkMPI(code, "MPI_Comm_split_type", rank: worldRank)
        guard let node = try adopt(result) else { preconditionFailure("a rank belongs to its own node") }
        return node
    }

    private func adopt(_ handle: MPI_Comm?) throws(MPIError) -> Communicator? {
        guard let handle, handle != loram_mpi_comm_null() else { return nil }
        let communicator = try Communicator(handle: handle, isOwned: true)
        communicator.countLimit = countLimit
        communicator.pieceLimit = pieceLimit
        return communicator
    }

    /// All ranks call this, after their last operation on the group. Never called on the path of an error.
    public func free() throws(MPIError) {
        guard isOwned, !isFree else { return }
        isFree = true
        var handle: MPI_Comm? = handle
        try checkMPI(MPI_Comm_free(&handle), "MPI_Comm_free", rank: worldRank)
    }

    // MARK: Pieces

    /// Pieces into which `count` elements are cut; at least one, so that an empty message is a message.
    static func pieceCount(_ count: Int, limit: Int) -> Int { max(1, (count + limit - 1) / limit) }

    /// Calls `body` with start and length of each piece.
    static func forEachPiece<Failure: Error>(
        of count: Int, limit: Int, _ body: (Int, Int32) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(limit > 0 && limit <= Int(Int32.max))
        var start = 0
        repeat {
            let length = min(limit, count - start)
            try body(start, Int32(length))
            start += length
        } while start < count
    }
}

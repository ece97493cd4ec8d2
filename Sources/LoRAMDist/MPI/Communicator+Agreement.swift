internal import CMPI

extension Communicator {
    /// All ranks call this: returns when all have.
    public func barrier() throws { try barrier(longestPauseMicroseconds: 200) }

    /// A barrier for ranks that may wait for minutes: they sleep up to 10 ms between polls and leave the cores to those who work.
    public func patientBarrier(onIdle: (() throws -> Void)? = nil) throws { try barrier(longestPauseMicroseconds: 10_000, onIdle: onIdle) }

    private func barrier(longestPauseMicroseconds: Int, onIdle: (() throws -> Void)? = nil) throws {
        let request = Request()
        request.begin("MPI_Ibarrier", pieceCount: 1, rank: worldRank)
        try request.addPiece { MPI_Ibarrier(handle, $0) }
        try request.wait(longestPauseMicroseconds: longestPauseMicroseconds, onIdle: onIdle)
    }

    /// All ranks call this. Runs `body` everywhere; if it throws on any rank, all ranks throw: the lowest failing rank its own
    /// error, the others `MPIError.failedElsewhere`, so that a cause that all ranks meet is reported once.
    public func together<Result>(_ body: () throws -> Result) throws -> Result {
        var failure: (any Error)?
        var result: Result?
        do { result = try body() } catch { failure = error }
        // The maximum of size - rank over the failing ranks belongs to the lowest of them. Who only heard of a failure, in a smaller group,
        // comes behind those who have one.
        let isHeard = if case .failedElsewhere = failure as? MPIError { true } else { false }
        let highest = try allReduce(failure == nil ? Int64(0) : Int64(isHeard ? size - rank : 2 * size - rank), .max)
        guard highest > 0 else { return result! }
        let lowestFailing = (highest > size ? 2 * size : size) - Int(highest)
        if lowestFailing == rank, let failure { throw failure }
        throw MPIError.failedElsewhere(rank: worldRanks[lowestFailing])
    }

    /// All ranks call this. Runs `body` on rank 0 while the others wait without using their cores: for a command, or a part of
    /// one, that needs one process. If it throws, all ranks throw as `together` does.
    public func onRoot(_ body: () throws -> Void) throws {
        var failure: (any Error)?
        if rank == 0 {
            do { try body() } catch { failure = error }
        }
        try patientBarrier()
        try together { if let failure { throw failure } }
    }
}

internal import CMPI

/// All-reduce with MPI's own algorithms. Floating-point sums depend on the algorithm and the number of ranks in their last bits;
/// where bits matter, either each element is non-zero on one rank only, or `ReproducibleReducer` does the work.
extension Communicator {
    /// All ranks call this with the same `count`: starts to combine the buffers of all ranks, in place. `buffer` must not be
    /// touched until `request` is complete.
    public func startAllReduce<Element: MPIElement>(
        _ buffer: UnsafeMutablePointer<Element>, count: Int, _ operation: ReductionOperation, request: Request
    ) throws(MPIError) {
        request.begin("MPI_Iallreduce", pieceCount: Self.pieceCount(count, limit: countLimit), rank: worldRank)
        guard count > 0 else { return }
        try Self.forEachPiece(of: count, limit: countLimit) { start, length throws(MPIError) in
            try request.addPiece {
                MPI_Iallreduce(
                    loram_mpi_in_place(), buffer + start, length, Element.elementType.datatype, operation.operation, handle, $0)
            }
        }
    }

    /// All ranks call this with the same `count`: combines the buffers of all ranks, in place.
    public func allReduce<Element: MPIElement>(
        _ buffer: UnsafeMutablePointer<Element>, count: Int, _ operation: ReductionOperation
    ) throws {
        let request = Request()
        try startAllReduce(buffer, count: count, operation, request: request)
        try request.wait()
    }

    /// All ranks call this: one value of all ranks' values.
    public func allReduce<Element: MPIElement>(_ value: Element, _ operation: ReductionOperation) throws -> Element {
        var result = value
        try withUnsafeMutablePointer(to: &result) { try allReduce($0, count: 1, operation) }
        return result
    }
}

internal import CMPI

/// Point-to-point messages, always non-blocking: two ranks that send to each other never wait for each other's receive.
extension Communicator {
    /// Starts to send `count` elements to rank `destination`. `buffer` must keep its contents until `request` is complete.
    /// Messages between two ranks with one tag arrive in the order sent. Throws `MPIError`.
    public func send<Element: MPIElement>(
        _ buffer: UnsafePointer<Element>, count: Int, to destination: Int, tag: Int, request: Request
    ) throws(MPIError) {
        request.begin("MPI_Isend", pieceCount: Self.pieceCount(count, limit: messagePieceLimit), rank: worldRank, peer: worldRanks[destination])
        try Self.forEachPiece(of: count, limit: messagePieceLimit) { start, length throws(MPIError) in
            try request.addPiece {
                MPI_Isend(buffer + start, length, Element.elementType.datatype, Int32(destination), Int32(tag), handle, $0)
            }
        }
    }

    /// Starts to receive exactly `count` elements from rank `source`. `buffer` must not be touched until `request` is complete.
    /// Throws `MPIError`; a message of another length throws from the request's `test` or `wait`.
    public func receive<Element: MPIElement>(
        into buffer: UnsafeMutablePointer<Element>, count: Int, from source: Int, tag: Int, request: Request
    ) throws(MPIError) {
        request.begin("MPI_Irecv", pieceCount: Self.pieceCount(count, limit: messagePieceLimit), rank: worldRank, peer: worldRanks[source])
        request.expect(count, of: Element.elementType)
        try Self.forEachPiece(of: count, limit: messagePieceLimit) { start, length throws(MPIError) in
            try request.addPiece {
                MPI_Irecv(buffer + start, length, Element.elementType.datatype, Int32(source), Int32(tag), handle, $0)
            }
        }
    }

    /// As the above, with a request of its own.
    public func send<Element: MPIElement>(
        _ buffer: UnsafePointer<Element>, count: Int, to destination: Int, tag: Int
    ) throws(MPIError) -> Request {
        let request = Request()
        try send(buffer, count: count, to: destination, tag: tag, request: request)
        return request
    }

    /// As the above, with a request of its own.
    public func receive<Element: MPIElement>(
        into buffer: UnsafeMutablePointer<Element>, count: Int, from source: Int, tag: Int
    ) throws(MPIError) -> Request {
        let request = Request()
        try receive(into: buffer, count: count, from: source, tag: tag, request: request)
        return request
    }
}

import Foundation
internal import CMPI

extension Communicator {
    /// All ranks call this with the same `count`: the contents of `root`'s buffer reach all.
    public func broadcast<Element: MPIElement>(_ buffer: UnsafeMutablePointer<Element>, count: Int, root: Int) throws {
        let request = Request()
        request.begin("MPI_Ibcast", pieceCount: Self.pieceCount(count, limit: messagePieceLimit), rank: worldRank, peer: worldRanks[root])
        try Self.forEachPiece(of: count, limit: messagePieceLimit) { start, length throws(MPIError) in
            try request.addPiece {
                MPI_Ibcast(buffer + start, length, Element.elementType.datatype, Int32(root), handle, $0)
            }
        }
        try request.wait()
    }

    /// All ranks call this: `root`'s data, of any length, reaches all. The others pass nil.
    public func broadcast(_ data: Data?, root: Int) throws -> Data {
        precondition((rank == root) == (data != nil), "the root, and only the root, passes the data")
        var count = Int64(data?.count ?? 0)
        try broadcast(&count, count: 1, root: root)
        var result = data ?? Data(count: Int(count))
        if count > 0 {
            try result.withUnsafeMutableBytes { bytes in
                try broadcast(bytes.bindMemory(to: UInt8.self).baseAddress!, count: Int(count), root: root)
            }
        }
        return result
    }
}

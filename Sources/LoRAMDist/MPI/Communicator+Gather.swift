import Foundation
internal import CMPI

extension Communicator {
    private static let gatherTag = 9_001

    /// All ranks call this: `root` gets every rank's data, in rank order; the others get nil. Lengths may differ.
    public func gather(_ data: Data, root: Int) throws -> [Data]? {
        let counts = try allGather([Int64(data.count)])
        let bytes = [UInt8](data)
        guard rank == root else {
            try bytes.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress, !buffer.isEmpty else { return }
                try send(base, count: buffer.count, to: root, tag: Self.gatherTag).wait()
            }
            return nil
        }
        var result: [Data] = []
        for source in 0..<size {
            let count = Int(counts[source])
            guard source != rank, count > 0 else {
                result.append(source == rank ? data : Data())
                continue
            }
            var received = [UInt8](repeating: 0, count: count)
            try received.withUnsafeMutableBufferPointer { buffer in
                try receive(into: buffer.baseAddress!, count: count, from: source, tag: Self.gatherTag).wait()
            }
            result.append(Data(received))
        }
        return result
    }

    /// All ranks call this: every rank gets every rank's data, in rank order. Lengths may differ.
    public func allGather(_ data: Data) throws -> [Data] {
        let counts = try allGather([Int64(data.count)]).map { Int($0) }
        var joined = Data()
        if let parts = try gather(data, root: 0) {
            for part in parts { joined.append(part) }
        }
        let all = [UInt8](try broadcast(rank == 0 ? joined : nil, root: 0))
        var result: [Data] = []
        var start = 0
        for count in counts {
            result.append(Data(all[start..<start + count]))
            start += count
        }
        return result
    }

    /// All ranks call this with the same number of values: all get all values, in rank order ([size, values.count]).
    public func allGather<Element: MPIElement>(_ values: [Element]) throws -> [Element] {
        let count = values.count
        var result = [Element](repeating: .zero, count: size * count)
        guard count > 0 else { return result }
        let request = Request()
        let piece = UnsafeMutablePointer<Element>.allocate(capacity: size * min(count, countLimit))
        defer { piece.deallocate() }
        try values.withUnsafeBufferPointer { source in
            try Self.forEachPiece(of: count, limit: countLimit) { start, length in
                request.begin("MPI_Iallgather", pieceCount: 1, rank: worldRank)
                try request.addPiece {
                    MPI_Iallgather(
                        source.baseAddress! + start, length, Element.elementType.datatype,
                        piece, length, Element.elementType.datatype, handle, $0)
                }
                try request.wait()
                for member in 0..<size {
                    for index in 0..<Int(length) {
                        result[member * count + start + index] = piece[member * Int(length) + index]
                    }
                }
            }
        }
        return result
    }
}

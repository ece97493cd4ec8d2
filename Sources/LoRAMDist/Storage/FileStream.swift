import Foundation
import LoRAMEngine

/// Parts of files sent through a chain of ranks, a few MiB at a time: each writes what it gets and passes it on.
struct FileStream {
    static let pieceByteCount = 4 << 20
    private static let tag = 21

    /// Rank 0 has the files.
    let group: Communicator
    let marker: ProgressMarker

    /// All ranks of the group call this with the same files, in the same order.
    ///
    /// - Parameter target: where a receiver has the file.
    /// - Throws: `FileError`, `MPIError`.
    func send(_ files: [StagingPlan.File], target: (String) -> String) throws {
        let buffers = (0..<2).map { _ in ByteBuffer(count: Self.pieceByteCount) }
        for file in files {
            let chain = [0] + file.receivers
            guard let place = chain.firstIndex(of: group.rank), chain.count > 1 else { continue }
            let isSource = place == 0, path = isSource ? file.path : target(file.path), next = place + 1 < chain.count ? chain[place + 1] : nil
            if !isSource { try FileSystem.createDirectory(FilePath.parent(path)) }
            let descriptor = open(path, isSource ? O_RDONLY | O_CLOEXEC : O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Self.error(path, "open", isSource) }
            defer { close(descriptor) }
            if !isSource, ftruncate(descriptor, off_t(file.byteCount)) != 0 { throw Self.error(path, "ftruncate", false) }
            // While a piece is sent on, the next one is read into the other buffer.
            var sending: Request?, turn = 0
            for piece in Self.pieces(file.ranges) {
                let buffer = buffers[turn]
                turn = 1 - turn
                let bytes = buffer.base.assumingMemoryBound(to: UInt8.self)
                if isSource {
                    try Self.transfer(piece, path) { pread(descriptor, bytes + $0, piece.count - $0, off_t(piece.lowerBound + $0)) }
                } else {
                    try group.receive(into: bytes, count: piece.count, from: chain[place - 1], tag: Self.tag).wait()
                }
                try sending?.wait()
                sending = try next.map { try group.send(UnsafePointer(bytes), count: piece.count, to: $0, tag: Self.tag) }
                if !isSource {
                    try Self.transfer(piece, path, writing: true) { pwrite(descriptor, bytes + $0, piece.count - $0, off_t(piece.lowerBound + $0)) }
                }
                marker.touch()
            }
            try sending?.wait()
        }
    }

    private static func pieces(_ ranges: [[Int]]) -> [Range<Int>] {
        ranges.flatMap { range in
            stride(from: range[0], to: range[1], by: pieceByteCount).map { $0..<min($0 + pieceByteCount, range[1]) }
        }
    }

    /// Calls `body` with the count of bytes done until all are.
    private static func transfer(_ piece: Range<Int>, _ path: String, writing: Bool = false, _ body: (Int) -> Int) throws {
        var done = 0
        while done < piece.count {
            let count = body(done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if count == 0 { errno = EIO }
                throw error(path, writing ? "pwrite" : "pread", !writing)
            }
            done += count
        }
    }

    private static func error(_ path: String, _ call: String, _ reading: Bool) -> FileError {
        reading ? .cannotRead(path: path, call: call, code: errno) : .cannotWrite(path: path, call: call, code: errno)
    }
}

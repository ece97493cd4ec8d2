import Glibc

/// A file read at offsets, from any number of threads.
final class ReadableFile: Sendable {
    let path: String
    let byteCount: Int
    private let descriptor: Int32

    /// - Throws: `FileError.cannotRead`, `.notRegularFile`.
    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            byteCount = 0
            throw FileError.cannotRead(path: path, call: "open", code: errno)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            byteCount = 0
            throw FileError.cannotRead(path: path, call: "fstat", code: errno)
        }
        byteCount = Int(status.st_size)
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileError.notRegularFile(path: path) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// - Throws: `FileError.cannotRead`; `CompressionError.wrongSize` if the file has become shorter.
    func read(_ offset: Int, count: Int, into destination: UnsafeMutableRawPointer) throws {
        var done = 0
        while done < count {
            let got = pread(descriptor, destination + done, count - done, off_t(offset + done))
            if got < 0 {
                if errno == EINTR { continue }
                throw FileError.cannotRead(path: path, call: "pread", code: errno)
            }
            guard got > 0 else { throw CompressionError.wrongSize(path: path, expected: byteCount, found: offset + done) }
            done += got
        }
    }
}

import Glibc

/// A file written front to back through a buffer, under a temporary name until `finish()`.
///
/// An output that is dropped without `finish()` leaves nothing behind. Not safe to share between threads.
public final class OutputFile {
    public let path: String
    private let temporaryPath: String
    private var descriptor: Int32
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    private var used = 0

    /// Opens `path` + `.partial-PID` for writing; missing parent directories are an error.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public init(path: String) throws {
        self.path = path
        temporaryPath = "\(path).partial-\(getpid())"
        descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        if descriptor < 0 {
            // All properties are set: deinit runs and frees the buffer.
            throw FileError.cannotWrite(path: path, call: "open", code: errno)
        }
    }

    deinit {
        buffer.deallocate()
        if descriptor >= 0 {
            close(descriptor)
            unlink(temporaryPath)
        }
    }

    /// Appends bytes; large pieces bypass the buffer.
    ///
    /// - Throws: `FileError.cannotWrite`, for example on a full disk.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        if bytes.count > buffer.count - used {
            try flush()
            if bytes.count >= buffer.count { return try writeNow(bytes) }
        }
        guard let source = bytes.baseAddress else { return }
        (buffer.baseAddress! + used).copyMemory(from: source, byteCount: bytes.count)
        used += bytes.count
    }

    /// Replaces bytes that were written before, at their offset from the file's start.
    ///
    /// - Precondition: the range was written.
    /// - Throws: `FileError.cannotWrite`.
    public func overwrite(_ bytes: [UInt8], at offset: Int) throws {
        try flush()
        try bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                let written = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
                if written < 0, errno != EINTR { throw FileError.cannotWrite(path: path, call: "pwrite", code: errno) }
                done += max(written, 0)
            }
        }
    }

    public func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// Brings everything to the disk and gives the file its name, replacing a file of that name.
    ///
    /// - Throws: `FileError.cannotWrite`; the temporary file is then removed with this object.
    public func finish() throws {
        try flush()
        guard fsync(descriptor) == 0 else { throw FileError.cannotWrite(path: path, call: "fsync", code: errno) }
        guard rename(temporaryPath, path) == 0 else { throw FileError.cannotWrite(path: path, call: "rename", code: errno) }
        let result = close(descriptor)
        descriptor = -1
        guard result == 0 else { throw FileError.cannotWrite(path: path, call: "close", code: errno) }
        try Self.syncDirectory(FilePath.parent(path))
    }

    /// That `path` can be written, for a result that is hours away.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public static func requireWritable(_ path: String) throws {
        if FilePath.isDirectory(path) { throw FileError.cannotWrite(path: path, call: "open", code: EISDIR) }
        // Dropped at once, it leaves nothing.
        _ = try OutputFile(path: path)
    }

    /// Writes a whole small file.
    public static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try OutputFile(path: path)
        try file.write(bytes)
        try file.finish()
    }

    /// Makes renames in a directory survive a power cut.
    static func syncDirectory(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError.cannotWrite(path: path, call: "open", code: errno) }
        defer { close(descriptor) }
        // Some network file systems cannot sync a directory and say EINVAL: there is nothing more to be done then.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw FileError.cannotWrite(path: path, call: "fsync", code: errno) }
    }

    private func flush() throws {
        let pending = UnsafeRawBufferPointer(start: buffer.baseAddress, count: used)
        used = 0
        try writeNow(pending)
    }

    private func writeNow(_ bytes: UnsafeRawBufferPointer) throws { try Self.write(bytes, to: descriptor, path: path) }

    /// Writes all bytes to an open file, which errors call `path`.
    ///
    /// - Throws: `FileError.cannotWrite`.
    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws {
        var rest = bytes
        while !rest.isEmpty {
            // Linux writes at most 2^31 - 4096 bytes a call; a short count just continues.
            let written = Glibc.write(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError.cannotWrite(path: path, call: "write", code: errno)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }
}

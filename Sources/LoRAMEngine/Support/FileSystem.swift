import Foundation

/// Operations on directories and small files whose failures are `FileError`s.
public enum FileSystem {
    /// The whole content of a small file.
    ///
    /// - Parameter limit: largest size in bytes, so that a wrong path cannot fill the memory.
    /// - Throws: `FileError.cannotRead`; beyond the limit with EFBIG.
    public static func read(_ path: String, limit: Int = 1 << 30) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw FileError.cannotRead(path: path, call: "open", code: errno) }
        defer { close(descriptor) }
        var info = stat()
        if fstat(descriptor, &info) != 0 { throw FileError.cannotRead(path: path, call: "fstat", code: errno) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(max(Int(info.st_size), 0), limit))
        var block = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Foundation.read(descriptor, &block, block.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError.cannotRead(path: path, call: "read", code: errno)
            }
            if count > limit - bytes.count { throw FileError.cannotRead(path: path, call: "read", code: EFBIG) }
            bytes.append(contentsOf: block[..<count])
        }
    }

    /// Where large temporary files go: $TMPDIR, or a directory that, unlike /tmp, is on a disk everywhere.
    public static let spillDirectory = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/var/tmp"

    /// A new file without a name, to be closed by the caller: gone from the directory at once, and from the disk when nothing has it open or mapped
    /// any more, however this process ends.
    ///
    /// - Throws: `FileError.cannotWrite`.
    static func unnamedFile(in directory: String) throws -> Int32 {
        var path = Array("\(directory)/loram-spill-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0 else { throw FileError.cannotWrite(path: directory, call: "mkstemp", code: errno) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(path)
        return descriptor
    }

    /// Replaces a small file at once: a reader sees the old content or the new one, never a part.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public static func write(_ text: String, to path: String) throws {
        try OutputFile.write(Array(text.utf8), to: path)
    }

    /// Creates a directory with its parents; one that exists is fine.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public static func createDirectory(_ path: String) throws {
        if mkdir(path, 0o755) == 0 { return }
        let code = errno
        if code == EEXIST, FilePath.isDirectory(path) { return }
        let parent = FilePath.parent(path)
        guard code == ENOENT, parent != path else { throw FileError.cannotWrite(path: path, call: "mkdir", code: code) }
        try createDirectory(parent)
        if mkdir(path, 0o755) != 0, errno != EEXIST { throw FileError.cannotWrite(path: path, call: "mkdir", code: errno) }
    }

    /// Removes a file or a directory tree; a missing one is fine. Symbolic links are removed, not followed.
    ///
    /// - Throws: `FileError`.
    public static func remove(_ path: String) throws {
        var info = stat()
        if lstat(path, &info) != 0 {
            if errno == ENOENT { return }
            throw FileError.cannotWrite(path: path, call: "lstat", code: errno)
        }
        if info.st_mode & S_IFMT == S_IFDIR {
            for name in try FilePath.names(inDirectory: path) { try remove("\(path)/\(name)") }
            if rmdir(path) != 0, errno != ENOENT { throw FileError.cannotWrite(path: path, call: "rmdir", code: errno) }
        } else if unlink(path) != 0, errno != ENOENT {
            throw FileError.cannotWrite(path: path, call: "unlink", code: errno)
        }
    }

    /// Renames within one file system and makes the new name durable. Replaces a file or an empty directory.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public static func rename(_ source: String, to target: String) throws {
        if Foundation.rename(source, target) != 0 { throw FileError.cannotWrite(path: target, call: "rename", code: errno) }
        try OutputFile.syncDirectory(FilePath.parent(target))
    }

    /// Gives a large file that is never changed a second name, or a copy where the file system has no such names.
    ///
    /// - Throws: `FileError`.
    public static func linkOrCopy(_ source: String, to target: String) throws {
        if link(source, target) == 0 { return }
        let output = try OutputFile(path: target)
        let file = try MappedFile(path: source)
        try file.withBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: 8 << 20) {
                try output.write(UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + (8 << 20), bytes.count)]))
            }
        }
        try output.finish()
    }

    /// Makes the names of the files in a directory durable.
    ///
    /// - Throws: `FileError.cannotWrite`.
    public static func syncDirectory(_ path: String) throws {
        try OutputFile.syncDirectory(path)
    }

    /// Path, size and time of the last change, as one text; nil if there is no such file.
    package static func identity(_ path: String) -> String? {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        return "\(path) \(info.st_ino) \(info.st_size) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec)"
    }

    /// Bytes of a regular file; nil if there is none.
    public static func fileSize(_ path: String) -> Int? {
        var info = stat()
        guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(info.st_size)
    }
}

import Glibc

/// A directory that is filled under a temporary name and appears under its own only when complete.
///
/// Dropped without `commit()` it removes what was written. Not safe to share between threads.
public final class AtomicDirectory {
    public let finalPath: String
    /// Where to put the files; a sibling of the final path, on the same file system.
    public let temporaryPath: String
    private let replaces: Bool
    private let isResumable: Bool
    /// Says that this process is at the temporary directory: a lock on a resumable one's lock file, on another's directory itself.
    private var lock: Int32 = -1
    private var isCommitted = false
    static let lockName = ".lock"

    /// Ends the names of files that say which parts of a resumable directory are complete.
    public static let recordSuffix = ".record.json"

    /// Where a resumable directory is filled.
    public static func resumablePath(of path: String) -> String { "\(trimmed(path)).partial" }

    private static func trimmed(_ path: String) -> String {
        var trimmed = path
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        return trimmed
    }

    /// Makes missing parent directories.
    ///
    /// - Parameter replacing: whether `commit()` may replace a directory that is there already. Without it an existing path other
    ///   than an empty directory is refused now.
    ///   - resumable: the temporary directory has the same name in every process and stays, once a record lies in it, until a later
    ///     process completes it.
    /// - Throws: `FileError.exists`, `FileError.cannotWrite`, `FileError.inUse`.
    public init(_ path: String, replacing: Bool = false, resumable: Bool = false) throws {
        let trimmed = Self.trimmed(path)
        finalPath = trimmed
        temporaryPath = resumable ? Self.resumablePath(of: path) : "\(trimmed).partial-\(getpid())"
        replaces = replacing
        isResumable = resumable
        if FilePath.exists(trimmed), !Self.isEmptyDirectory(trimmed) {
            guard replacing else { throw FileError.exists(path: trimmed) }
            guard FilePath.isDirectory(trimmed) else { throw FileError.exists(path: trimmed) }
        }
        try FileSystem.createDirectory(FilePath.parent(trimmed))
        if resumable {
            try FileSystem.createDirectory(temporaryPath)
            try takeLock()
            // Files that were not complete yet.
            for name in try FilePath.names(inDirectory: temporaryPath) where name.contains(".partial-") {
                try FileSystem.remove("\(temporaryPath)/\(name)")
            }
            return
        }
        Self.removeAbandoned(trimmed)
        guard mkdir(temporaryPath, 0o755) == 0 else {
            if errno == EEXIST { throw FileError.inUse(path: trimmed) }
            throw FileError.cannotWrite(path: path, call: "mkdir", code: errno)
        }
        lock = open(temporaryPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        flock(lock, LOCK_EX | LOCK_NB)
    }

    /// Removes what killed processes left of attempts at `path`: nobody holds a lock on it. File systems that cannot say so keep it.
    private static func removeAbandoned(_ path: String) {
        let parent = FilePath.parent(path), prefix = FilePath.lastComponent(path) + ".partial-"
        for name in (try? FilePath.names(inDirectory: parent)) ?? [] where name.hasPrefix(prefix) && Int32(name.dropFirst(prefix.count)) != nil {
            let left = "\(parent)/\(name)", descriptor = open(left, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { removeTree(left) }
            close(descriptor)
        }
    }

    deinit {
        // Without the lock the files are another process's.
        if !isCommitted, lock >= 0, !isResumable || !hasRecords { Self.removeTree(temporaryPath) }
        if lock >= 0 { close(lock) }
    }

    private func takeLock() throws {
        let descriptor = open(path(Self.lockName), O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError.cannotWrite(path: finalPath, call: "open", code: errno) }
        // File systems without locks are left to their users.
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
            close(descriptor)
            throw FileError.inUse(path: finalPath)
        }
        lock = descriptor
    }

    private var hasRecords: Bool {
        ((try? FilePath.names(inDirectory: temporaryPath)) ?? []).contains { $0.hasSuffix(Self.recordSuffix) }
    }

    /// Path of a file inside.
    public func path(_ name: String) -> String { "\(temporaryPath)/\(name)" }

    /// Brings the directory to the disk and renames it to its final path. A replaced directory is moved aside first and removed last,
    /// so that one of the two is complete at any time.
    ///
    /// - Throws: `FileError`.
    public func commit() throws {
        if isResumable { unlink(path(Self.lockName)) }
        try OutputFile.syncDirectory(temporaryPath)
        var aside: String?
        if FilePath.exists(finalPath), !Self.isEmptyDirectory(finalPath) {
            guard replaces else { throw FileError.exists(path: finalPath) }
            let old = "\(finalPath).replaced-\(getpid())"
            Self.removeTree(old)
            guard rename(finalPath, old) == 0 else { throw FileError.cannotWrite(path: finalPath, call: "rename", code: errno) }
            aside = old
        }
        // rename(2) replaces an empty directory by itself.
        guard rename(temporaryPath, finalPath) == 0 else {
            let code = errno
            if let aside { rename(aside, finalPath) }
            throw FileError.cannotWrite(path: finalPath, call: "rename", code: code)
        }
        isCommitted = true
        try OutputFile.syncDirectory(FilePath.parent(finalPath))
        if let aside { Self.removeTree(aside) }
    }

    private static func isEmptyDirectory(_ path: String) -> Bool {
        guard FilePath.isDirectory(path), let names = try? FilePath.names(inDirectory: path) else { return false }
        return names.isEmpty
    }

    /// Removes a directory with all it holds, without following symbolic links; nothing if there is none.
    private static func removeTree(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        for name in (try? FilePath.names(inDirectory: path)) ?? [] { removeTree("\(path)/\(name)") }
        rmdir(path)
    }
}

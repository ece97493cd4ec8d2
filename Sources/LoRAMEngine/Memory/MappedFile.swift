import Glibc

/// A regular file mapped read-only into memory for as long as this object lives.
///
/// Pages come from the page cache, so all processes of a node share one copy. A file that is cut short while mapped raises SIGBUS
/// where it is read: see `TruncationGuard`.
///
/// Sendable: the mapping is never written and its address never changes.
public final class MappedFile: @unchecked Sendable {
    /// How a range is going to be read, for madvise(2).
    public enum Hint: Sendable {
        case normal
        case sequential
        case random
        /// Read ahead now.
        case willNeed
        /// Drop from this process; the next access reads the page cache or the disk again.
        case dontNeed
        case hugePages
    }

    public let path: String
    /// The whole file. The address does not keep this object alive, and Swift may release an object after its last use: hold it in
    /// a property, or read through `withBytes`.
    public let bytes: UnsafeRawBufferPointer

    /// - Throws: `FileError.cannotRead` with the system call that failed, `FileError.notRegularFile`.
    public init(path: String) throws {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError.cannotRead(path: path, call: "open", code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError.cannotRead(path: path, call: "fstat", code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileError.notRegularFile(path: path) }
        let count = Int(status.st_size)
        // mmap refuses a length of zero.
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let address, address != MAP_FAILED else { throw FileError.cannotRead(path: path, call: "mmap", code: errno) }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
        TruncationGuard.register(bytes, path: path)
    }

    deinit {
        guard let address = bytes.baseAddress else { return }
        TruncationGuard.unregister(bytes)
        munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
    }

    public var count: Int { bytes.count }

    /// Reads the whole file while keeping it mapped.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    /// Advises the kernel about a range of the file (nil: all of it), widened to whole pages; for `dontNeed` narrowed, so that
    /// neighbours keep theirs. A kernel that does not know the hint ignores it.
    public func advise(_ hint: Hint, range: Range<Int>? = nil) {
        let range = (range ?? 0..<count).clamped(to: 0..<count)
        guard let base = bytes.baseAddress, !range.isEmpty else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        var start = range.lowerBound / page * page
        var end = range.upperBound
        let advice: Int32
        switch hint {
        case .normal: advice = MADV_NORMAL
        case .sequential: advice = MADV_SEQUENTIAL
        case .random: advice = MADV_RANDOM
        case .willNeed: advice = MADV_WILLNEED
        case .hugePages: advice = MADV_HUGEPAGE
        case .dontNeed:
            advice = MADV_DONTNEED
            start = (range.lowerBound + page - 1) / page * page
            if end < count { end = end / page * page }
        }
        guard start < end else { return }
        _ = madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, advice)
    }
}

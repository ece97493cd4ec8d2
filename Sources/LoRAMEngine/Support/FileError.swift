import Glibc

/// A file or directory that cannot be opened, mapped, written or renamed, with the system's reason.
public enum FileError: DiagnosedError, Equatable {
    /// `call` is the system call that failed, `code` its errno.
    case cannotRead(path: String, call: String, code: Int32)
    case cannotWrite(path: String, call: String, code: Int32)
    /// A directory, device or pipe where a regular file is needed.
    case notRegularFile(path: String)
    case notDirectory(path: String)
    /// An output that is there already and may not be replaced.
    case exists(path: String)
    /// An output that another process is writing.
    case inUse(path: String)

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .cannotRead(let path, let call, let code):
            "cannot read \(path): \(call) failed, \(Self.reason(code)); check the path and its permissions"
        case .cannotWrite(let path, let call, let code):
            "cannot write \(path): \(call) failed, \(Self.reason(code)); check the path, its permissions and the free space"
        case .notRegularFile(let path): "cannot read \(path): expected a regular file, found something else"
        case .notDirectory(let path): "cannot read \(path): expected a directory, found something else"
        case .inUse(let path): "cannot write \(path): expected to be the only process at it, found another; wait for it or choose another path"
        case .exists(let path): "cannot write \(path): expected a path that is free, found an existing one; remove it or choose another"
        }
    }

    public var exitCode: ExitStatus {
        switch self {
        case .cannotRead, .notRegularFile, .notDirectory: .badInput
        case .cannotWrite, .inUse: .failure
        case .exists: .usage
        }
    }

    private static func reason(_ code: Int32) -> String {
        String(cString: strerror(code))
    }
}

/// Questions about paths that need no open file.
public enum FilePath {
    public static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0
    }

    /// Follows symbolic links, as Hugging Face's cache consists of them.
    public static func isDirectory(_ path: String) -> Bool {
        mode(path) == S_IFDIR
    }

    public static func isRegularFile(_ path: String) -> Bool {
        mode(path) == S_IFREG
    }

    /// The last component, without trailing slashes.
    public static func lastComponent(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// The directory that holds `path`.
    public static func parent(_ path: String) -> String {
        var path = Substring(path)
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Names in a directory, sorted; without `.` and `..`.
    ///
    /// - Throws: `FileError.cannotRead`.
    public static func names(inDirectory path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw FileError.cannotRead(path: path, call: "opendir", code: errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(cString: $0.bindMemory(to: CChar.self).baseAddress!) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private static func mode(_ path: String) -> mode_t? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return status.st_mode & S_IFMT
    }
}

import Foundation
import LoRAMEngine

/// The directory in which a host keeps its parts of files that it does not see: `loram-mpi-USER-PROCESS` in TMPDIR, or /tmp.
enum StagingDirectory {
    /// Makes this process's, and removes what processes that were killed have left.
    ///
    /// - Throws: `FileError`.
    static func make() throws -> String {
        var parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? ""
        if parent.isEmpty { parent = "/tmp" }
        let prefix = "loram-mpi-\(getuid())-"
        for name in try FilePath.names(inDirectory: parent) where name.hasPrefix(prefix) {
            guard let owner = pid_t(name.dropFirst(prefix.count)), owner != getpid() else { continue }
            // Of another user's making it cannot be removed; then it stays.
            if kill(owner, 0) != 0, errno == ESRCH { try? FileSystem.remove("\(parent)/\(name)") }
        }
        let path = "\(parent)/\(prefix)\(getpid())"
        try FileSystem.remove(path)
        guard mkdir(path, 0o700) == 0 else { throw FileError.cannotWrite(path: path, call: "mkdir", code: errno) }
        return path
    }
}

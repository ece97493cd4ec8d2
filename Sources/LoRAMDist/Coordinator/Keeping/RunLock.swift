import Glibc
import LoRAMEngine

/// The right to change a run directory: one job has it, until its process ends, however that is.
final class RunLock {
    private let descriptor: Int32

    /// Makes the directory, and `.lock` in it, which says who has it. File systems without locks are left to their users.
    ///
    /// - Throws: `RunError.locked`, `FileError.cannotWrite`.
    init(_ run: String) throws {
        try FileSystem.createDirectory(run)
        let path = "\(run)/.lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError.cannotWrite(path: path, call: "open", code: errno) }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
            let holder = (try? FileSystem.read(path, limit: 1 << 10)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            // All properties are set: deinit closes the file.
            throw RunError.locked(path: run, holder: holder.isEmpty ? "another" : holder)
        }
        let text = Array("process \(getpid()) on \(MPIRuntime.hostName())".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
            throw FileError.cannotWrite(path: path, call: "write", code: errno)
        }
    }

    deinit { close(descriptor) }
}

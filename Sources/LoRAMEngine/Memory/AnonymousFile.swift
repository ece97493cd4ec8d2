import Glibc
internal import CLoRAMKernels

/// A file in memory without a name, which other processes of the node open through /proc. Freed when nobody has it open or mapped.
public enum AnonymousFile {
    /// A descriptor of a new file of zeros; nil, with errno set, when the system refuses.
    public static func make(name: String, byteCount: Int) -> Int32? {
        let descriptor = loram_anonymous_file(name)
        guard descriptor >= 0 else { return nil }
        guard ftruncate(descriptor, byteCount) == 0 else {
            let code = errno
            close(descriptor)
            errno = code
            return nil
        }
        return descriptor
    }
}

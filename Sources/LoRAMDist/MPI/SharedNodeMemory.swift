import Foundation
import LoRAMEngine

/// Memory that the ranks of one node share: a file without a name (memfd), which the first rank makes and the others open through it.
///
/// Unlike an MPI window it is bound neither by the size of /dev/shm nor by mpirun's session directory. It is freed when the last rank
/// lets go of it or dies.
///
/// Unchecked: used by the main thread only, while a stage is loaded.
public final class SharedNodeMemory: NodeMemory, @unchecked Sendable {
    private let node: Communicator
    private var mappings: [UnsafeMutableRawBufferPointer] = []

    /// `node`: ranks of one node (`splitByNode`). All of them make one; the communicator must outlive the loading.
    public init(node: Communicator) { self.node = node }

    deinit { for mapping in mappings { munmap(mapping.baseAddress, mapping.count) } }

    public var member: Int { node.rank }
    public var memberCount: Int { node.size }

    public func together(_ body: () throws -> Void) throws { try node.together(body) }

    public func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer {
        var descriptor: Int32 = -1
        defer { if descriptor >= 0 { close(descriptor) } }
        try node.together {
            guard node.rank == 0 else { return }
            guard let made = AnonymousFile.make(name: "loram-weights", byteCount: byteCount) else {
                throw SharedMemoryError.cannotAllocate(bytes: byteCount, call: "memfd_create", errno: errno)
            }
            descriptor = made
        }
        let name = try node.broadcast(node.rank == 0 ? Data("/proc/\(getpid())/fd/\(descriptor)".utf8) : nil, root: 0)
        var address: UnsafeMutableRawPointer?
        try node.together {
            if node.rank > 0 {
                let path = String(decoding: name, as: UTF8.self)
                descriptor = open(path, O_RDWR | O_CLOEXEC)
                guard descriptor >= 0 else { throw SharedMemoryError.cannotOpen(path: path, errno: errno) }
            }
            address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
            guard let address, address != MAP_FAILED else {
                throw SharedMemoryError.cannotAllocate(bytes: byteCount, call: "mmap", errno: errno)
            }
            mappings.append(UnsafeMutableRawBufferPointer(start: address, count: byteCount))
            // Fewer TLB misses where the system offers 2 MiB pages for shared memory; refusal changes nothing else.
            madvise(address, byteCount, MADV_HUGEPAGE)
        }
        return address!
    }
}

/// Why the ranks of a node cannot share memory.
public enum SharedMemoryError: DiagnosedError {
    case cannotAllocate(bytes: Int, call: String, errno: Int32)
    case cannotOpen(path: String, errno: Int32)

    public var exitCode: ExitStatus { .failure }

    public var description: String {
        switch self {
        case .cannotAllocate(let bytes, let call, let code):
            "compute.weights=shared: expected \(bytes >> 20) MiB of memory for a node's ranks, found \(call): \(String(cString: strerror(code))); "
                + "use more pipeline stages, or compute.weights=mapped"
        case .cannotOpen(let path, let code):
            "compute.weights=shared: expected to open a neighbour's memory \(path), found \(String(cString: strerror(code))); "
                + "ranks in separate containers cannot share: set compute.weights=resident"
        }
    }
}

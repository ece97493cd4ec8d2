import Foundation

/// Counts the memory of a set of buffers before any of it exists, so that everything a step needs is one allocation.
public struct ArenaLayout: Sendable {
    /// A run of elements inside an arena.
    public struct Slice: Sendable, Equatable {
        public let offsetBytes: Int
        public let byteCount: Int
    }

    /// Cache line and AVX-512 vector.
    public static let alignmentBytes = 64

    public private(set) var byteCount = 0

    public init() {}

    public mutating func reserve<Element>(_ count: Int, of type: Element.Type = Float.self) -> Slice {
        let slice = Slice(offsetBytes: byteCount, byteCount: count * MemoryLayout<Element>.stride)
        byteCount += (slice.byteCount + Self.alignmentBytes - 1) / Self.alignmentBytes * Self.alignmentBytes
        return slice
    }
}

/// One zeroed allocation holding all buffers of an `ArenaLayout`. Pages that are never touched take no memory.
///
/// Unchecked: the owner hands out raw pointers and orders their use; the arena itself never changes.
public final class Arena: @unchecked Sendable {
    public let byteCount: Int
    let base: UnsafeMutableRawPointer

    /// Throws `MemoryError.cannotAllocate` when the system refuses.
    public init(_ layout: ArenaLayout) throws {
        byteCount = max(layout.byteCount, ArenaLayout.alignmentBytes)
        let mapping = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { throw MemoryError.cannotAllocate(bytes: byteCount, errno: errno) }
        base = mapping
        // Fewer page faults and TLB misses where the system offers 2 MiB pages; refusal changes nothing else.
        if byteCount >= 2 << 20 { madvise(mapping, byteCount, MADV_HUGEPAGE) }
    }

    deinit { munmap(base, byteCount) }

    public func pointer<Element>(_ slice: ArenaLayout.Slice, as type: Element.Type = Float.self) -> UnsafeMutablePointer<Element> {
        precondition(slice.offsetBytes + slice.byteCount <= byteCount, "slice of another arena")
        return (base + slice.offsetBytes).assumingMemoryBound(to: Element.self)
    }
}

public enum MemoryError: DiagnosedError {
    case cannotAllocate(bytes: Int, errno: Int32)

    public var exitCode: ExitStatus { .failure }

    public var description: String {
        switch self {
        case .cannotAllocate(let bytes, let code):
            "cannot allocate \(bytes >> 20) MiB (\(String(cString: strerror(code)))): use more pipeline stages, a smaller batch.micro or data.length"
        }
    }
}

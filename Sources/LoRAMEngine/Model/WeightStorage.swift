/// Where a stage's frozen matrices are and in what form.
public struct WeightStorage: Sendable {
    public enum Place: Sendable {
        /// In the checkpoint's mapped files: the page cache serves all ranks of a node. What the files do not hold as it is used (random
        /// weights, weights that are quantized while they are loaded) is in this process's memory.
        case mapped
        /// In this process's memory.
        case resident
        /// In memory that the ranks of a node share: read once, by all of them together.
        case shared(any NodeMemory)
    }

    public var place: Place
    /// Makes NF4 of a plain checkpoint's linear layers while it is loaded, with the bits that the `quantize` command writes; embedding,
    /// head and norms are rounded to bf16, as there. nil leaves all as it is stored. What is NF4 already stays so.
    public var quantizer: Quantizer?

    public init(place: Place = .mapped, quantizer: Quantizer? = nil) {
        self.place = place
        self.quantizer = quantizer
    }

    /// Runs a part of loading that any member of a shared memory may fail in: all throw or none.
    func together(_ body: () throws -> Void) throws {
        guard case .shared(let memory) = place else { return try body() }
        try memory.together(body)
    }

    /// Which of several who load together this process is, and how many they are.
    var member: (index: Int, count: Int) {
        guard case .shared(let memory) = place else { return (0, 1) }
        return (memory.member, memory.memberCount)
    }

    var isMapped: Bool {
        if case .mapped = place { true } else { false }
    }

    /// Zeroed memory for what is not read where it lies.
    func allocate(_ layout: ArenaLayout) throws -> WeightMemory {
        guard case .shared(let memory) = place else {
            let arena = try Arena(layout)
            return WeightMemory(base: UnsafeMutableRawPointer(arena.base), byteCount: layout.byteCount, owner: arena)
        }
        return WeightMemory(base: try memory.allocate(byteCount: max(layout.byteCount, 1)), byteCount: layout.byteCount, owner: memory)
    }
}

/// Memory that several processes of a node see, each at an address of its own. They call every method together, in the same order.
public protocol NodeMemory: AnyObject, Sendable {
    /// This process's number among those that fill the memory.
    var member: Int { get }
    var memberCount: Int { get }
    /// Zeroed memory, aligned to pages, valid as long as this object.
    ///
    /// - Throws: on all members or on none.
    func allocate(byteCount: Int) throws -> UnsafeMutableRawPointer
    /// Returns when all members are done with `body`; throws on all if one did.
    func together(_ body: () throws -> Void) throws
}

/// An allocation with what keeps it alive.
struct WeightMemory {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    let owner: AnyObject

    func pointer(_ slice: ArenaLayout.Slice) -> UnsafeMutableRawPointer { base + slice.offsetBytes }
}

/// Memory of a rank beside its stage: program and libraries with their heaps, and what it keeps of tokenizer and texts.
public struct ProcessMemory: Sendable, Equatable {
    /// Pages of the program and its libraries that are in use, their heaps, MPI's share.
    public var program: Int
    /// Tables of the tokenizer.
    public var tokenizer: Int
    /// Mapped files of texts: page cache, which counts as resident once read but goes when memory is short.
    public var texts: Int

    /// What MPI_Init and a first update add to a process that has just begun. Measured with Open MPI 4.1 on x86-64: 2.5 MiB of pages of MPI's
    /// components and PMIx, 4.7 MiB of their heaps, 0.4 MiB of memory shared with the node's other ranks; the rest pages of program and
    /// libraries that only training touches, and log and metrics files.
    public static let launchBytes = 14 << 20

    public init(program: Int, tokenizer: Int = 0, texts: Int = 0) {
        self.program = program
        self.tokenizer = tokenizer
        self.texts = texts
    }

    /// Of a rank with a small tokenizer, measured on x86-64, where all must reckon with the same.
    public static let typical = ProcessMemory(program: 44 << 20)

    /// Of a rank of this program: what this process takes when it is first asked, having done nothing yet, and what launching adds.
    public static let foretold: ProcessMemory = {
        let now = Machine.residentMemory
        return ProcessMemory(program: now.own + now.file + (Machine.isLaunched ? 0 : launchBytes))
    }()

    /// Cannot be taken away.
    public var own: Int { program + tokenizer }
    public var total: Int { own + texts }
}

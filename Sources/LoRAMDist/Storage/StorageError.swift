import LoRAMEngine

/// What a job without common storage cannot do.
enum StorageError: DiagnosedError, Equatable {
    case cacheNeedsSharedStorage(key: String)
    /// The host of a dedicated coordinator has another file system than rank 0's.
    case coordinatorElsewhere(rank: Int, path: String)

    var exitCode: ExitStatus { .usage }

    var description: String {
        switch self {
        case .cacheNeedsSharedStorage(let key):
            "\(key): expected a directory that all hosts see, found hosts without the run directory's file system; leave it out"
        case .coordinatorElsewhere(let rank, let path):
            "parallel.coordinator: dedicated: expected the last rank (\(rank)) on a host that sees rank 0's \(path), found one that does not; "
                + "let it share rank 0's host or file system, or use shared"
        }
    }
}

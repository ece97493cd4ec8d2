import LoRAMEngine

/// What a job without common storage cannot do.
enum StorageError: DiagnosedError, Equatable {
    case cacheNeedsSharedStorage(key: String)
    case coordinatorElsewhere(rank: Int)

    var exitCode: ExitStatus { .usage }

    var description: String {
        switch self {
        case .cacheNeedsSharedStorage(let key):
            "\(key): expected a directory that all hosts see, found hosts without the run directory's file system; leave it out"
        case .coordinatorElsewhere(let rank):
            "parallel.coordinator: expected rank \(rank), which coordinates, on a host that sees rank 0's files, found that it does not; "
                + "place it there or use the shared coordinator"
        }
    }
}

import LoRAMEngine

/// What a job without common storage cannot do.
enum StorageError: DiagnosedError, Equatable {
    case cacheNeedsSharedStorage(key: String)

    var exitCode: ExitStatus { .usage }

    var description: String {
        switch self {
        case .cacheNeedsSharedStorage(let key):
            "\(key): expected a directory that all hosts see, found hosts without the run directory's file system; leave it out"
        }
    }
}

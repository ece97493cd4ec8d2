/// An error that ends a command with one line for the user and a process exit code.
///
/// Every subsystem has an enum of its own that conforms (`SafetensorsError`, `ConfigError`, ...), whose cases carry what was
/// expected and what was found. `description` is ONE line: what failed, where, expected, found, and what to do.
public protocol DiagnosedError: Error, CustomStringConvertible, Sendable {
    var exitCode: ExitStatus { get }
}

/// Process exit codes of `loram-mpi`.
public enum ExitStatus: Int32, Sendable {
    case success = 0
    case failure = 1
    /// Wrong command line or recipe key (sysexits EX_USAGE).
    case usage = 64
    /// Bad input data: a file, a checkpoint, a dataset, a recipe's value (sysexits EX_DATAERR).
    case badInput = 65
    /// The watchdog stopped a job in which nothing moved (sysexits EX_TEMPFAIL).
    case stalled = 75
}

extension DiagnosedError {
    public var exitCode: ExitStatus { .badInput }
}

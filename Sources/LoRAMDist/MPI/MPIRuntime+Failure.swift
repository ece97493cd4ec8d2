import Foundation
import LoRAMEngine
internal import CMPI

extension MPIRuntime {
    /// Ends the whole job because this rank failed: prints `rank R on HOST: <line>` on standard error (in a job of one rank the
    /// line alone) and takes all ranks down with the error's exit code. Waits for no other rank,
    /// unless the error is `MPIError.failedElsewhere`: then the rank that has the cause gets 30 s to end the job, and only if it has not
    /// does this one print its line and end it.
    ///
    /// Called on the main thread, also when MPI never started or has been finalized.
    public static func end(with error: any Error) -> Never {
        let status = (error as? any DiagnosedError)?.exitCode ?? .failure
        guard isRunning, let (rank, size) = place(), size > 1 else {
            printLine("\(error)")
            exit(status.rawValue)
        }
        if case MPIError.failedElsewhere? = error as? MPIError {
            sleep(patienceSeconds)
        }
        printLine("rank \(rank) on \(hostName()): \(error)")
        MPI_Abort(loram_mpi_comm_world(), status.rawValue)
        exit(status.rawValue)
    }

    /// How long a rank without a cause of its own waits to be ended by the one that has it.
    private static let patienceSeconds: UInt32 = 30

    /// MPI is initialised and not yet finalized.
    private static var isRunning: Bool {
        var initialized: Int32 = 0
        var finalized: Int32 = 0
        MPI_Initialized(&initialized)
        MPI_Finalized(&finalized)
        return initialized != 0 && finalized == 0
    }

    private static func place() -> (rank: Int32, size: Int32)? {
        var rank: Int32 = 0
        var size: Int32 = 0
        guard MPI_Comm_rank(loram_mpi_comm_world(), &rank) == MPI_SUCCESS,
            MPI_Comm_size(loram_mpi_comm_world(), &size) == MPI_SUCCESS
        else { return nil }
        return (rank, size)
    }

    /// One write, so that lines of several ranks do not mix.
    static func printLine(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count <= 0 { return }
            written += count
        }
    }
}

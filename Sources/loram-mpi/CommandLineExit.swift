import ArgumentParser
import Foundation
import LoRAMEngine

/// The end of a process whose command line asked for help or was wrong.
enum CommandLineExit {
    /// Help and version go to stdout with status 0. A wrong command line is one line on stderr, from one rank of a job.
    static func exit(for error: any Error) -> Never {
        let code = LoRAMMPI.exitCode(for: error)
        guard code != .success else { LoRAMMPI.exit(withError: error) }
        let environment = ProcessInfo.processInfo.environment
        let rank = environment["OMPI_COMM_WORLD_RANK"] ?? environment["PMIX_RANK"] ?? environment["PMI_RANK"] ?? "0"
        if rank == "0" {
            let line = LoRAMMPI.message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
            FileHandle.standardError.write(Data("\(line); see loram-mpi --help\n".utf8))
        } else {
            // mpirun ends all ranks when one does: the one that speaks is given time.
            sleep(2)
        }
        Foundation.exit(code == .validationFailure ? ExitStatus.usage.rawValue : ExitStatus.failure.rawValue)
    }
}

import ArgumentParser
import Glibc
import LoRAMDist
import LoRAMEngine

// OpenBLAS's kernels are settled before anything else: this may start the program again.
ProcessStart.useBestBLASKernels()
// A mapped file that is cut short while in use ends in one line.
TruncationGuard.install()

do {
    // A flag with an optional value is not in ArgumentParser's grammar.
    let arguments = CommandLine.arguments.dropFirst().map { $0 == "--resume=auto" ? "--resume-auto" : $0 }
    var command = try LoRAMMPI.parseAsRoot(arguments)
    try command.run()
    // A full disk behind a redirection shows here at the latest.
    if fflush(nil) != 0 { throw FileError.cannotWrite(path: "standard output", call: "write", code: errno) }
} catch let error as any DiagnosedError {
    MPIRuntime.end(with: error)
} catch {
    // ArgumentParser's own: help, version, a wrong command line (exit 64).
    CommandLineExit.exit(for: error)
}

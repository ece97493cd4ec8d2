import ArgumentParser
import LoRAMDist
import LoRAMEngine

// OpenBLAS's kernels are settled before anything else: this may start the program again.
ProcessStart.useBestBLASKernels()

do {
    var command = try LoRAMMPI.parseAsRoot()
    try command.run()
} catch let error as any DiagnosedError {
    MPIRuntime.end(with: error)
} catch {
    // ArgumentParser's own: help, version, a wrong command line (exit 64).
    LoRAMMPI.exit(withError: error)
}

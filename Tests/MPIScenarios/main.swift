import LoRAMDist

// MPIScenarios NAME [ARGUMENT...]: one scenario on all ranks of the job. Exit 0 if everything it checks holds.
do {
    let runtime = try MPIRuntime.start()
    try Scenario.named(CommandLine.arguments.dropFirst().first).run(runtime, Array(CommandLine.arguments.dropFirst(2)))
    try runtime.finish()
} catch {
    MPIRuntime.end(with: error)
}

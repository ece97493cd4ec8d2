import Testing
import TestSupport

/// Runs one of MPIScenarios' scenarios; 0 ranks run it without mpirun.
func runScenario(_ name: String, _ arguments: [Any] = [], ranks: Int, options: [String] = []) throws -> MPIRun.Outcome {
    try MPIRun.run(
        MPIRun.executable("MPIScenarios"), [name] + arguments.map { "\($0)" }, ranks: ranks, options: options)
}

/// The scenario's own checks hold on all ranks.
@discardableResult
func expectScenario(
    _ name: String, _ arguments: [Any] = [], ranks: Int, options: [String] = [],
    sourceLocation: SourceLocation = #_sourceLocation
) throws -> MPIRun.Outcome {
    let outcome = try runScenario(name, arguments, ranks: ranks, options: options)
    #expect(outcome.exitCode == 0, "\(outcome.standardError)", sourceLocation: sourceLocation)
    return outcome
}

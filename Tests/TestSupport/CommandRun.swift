/// Runs the built loram-mpi as a user does.
public enum CommandRun {
    /// On `ranks` ranks under mpirun; 0 runs it without. `meanwhile` is called while it runs.
    public static func run(
        _ arguments: [String], ranks: Int = 0, environment: [String: String] = [:], workingDirectory: String? = nil,
        meanwhile: (MPIRun.Job) throws -> Void = { _ in }
    ) throws -> MPIRun.Outcome {
        try MPIRun.run(
            MPIRun.executable("loram-mpi"), arguments, ranks: ranks, environment: environment, workingDirectory: workingDirectory, meanwhile: meanwhile)
    }
}

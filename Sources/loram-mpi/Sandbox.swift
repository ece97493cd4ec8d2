import LoRAMDist
import LoRAMEngine

/// Where programs that a model wrote are run, if any task has some.
enum Sandbox {
    /// Call it before MPI starts, after which nothing may fork. Nil on ranks that run no programs.
    ///
    /// - Throws: `EvaluationError.unknownTask`; what the sandbox lacks on this machine.
    static func start(for tasks: [EvaluationRecipe.Task], python: String? = nil) throws -> ProgramSandbox? {
        let runsPrograms = try tasks.map { try EvaluationTask.named($0.name) }.contains(.generation(.humaneval))
        guard runsPrograms, Job.isFirstRank else { return nil }
        return try ProgramSandbox.start(workers: min(8, Machine.availableProcessorCount), python: python)
    }
}

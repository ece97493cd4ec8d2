import Foundation
import LoRAMEngine

/// The `run` command: a recipe's phases one after the other. What is done is skipped, what was cut off goes on, and what a changed recipe
/// or input concerns is done again, with all that follows from it.
public struct Workflow {
    public struct Options: Codable, Sendable {
        /// This phase alone.
        public var only: WorkflowPhase?
        /// This phase and those behind it.
        public var from: WorkflowPhase?

        public init(only: WorkflowPhase? = nil, from: WorkflowPhase? = nil) {
            self.only = only
            self.from = from
        }
    }

    private let job: Job
    private let options: Options
    private let sandbox: ProgramSandbox?
    private let planner: WorkflowPlanner
    private var paths: RunPaths { planner.paths }

    /// All ranks call this. `sandbox`: of tasks that run programs, on rank 0.
    ///
    /// - Throws: `WorkflowError`, `RecipeError`.
    public init(_ job: Job, _ options: Options, sandbox: ProgramSandbox? = nil) throws {
        self.job = job
        self.options = options
        self.sandbox = sandbox
        // Whatever phase a signal finds, the next update obeys it.
        RunSignals.install()
        let planner = try job.world.together { try WorkflowPlanner(job.recipe, options, pool: job.pool) }
        self.planner = planner
        // Hours before a later phase reads it.
        try job.world.together { if job.world.rank == 0 { try planner.requireData() } }
    }

    /// All ranks call this. The coordinator decides and records.
    public func run() throws -> TrainingRun.Outcome {
        for phase in planner.phases where planner.isChosen(phase) {
            let decision = WorkflowPlanner.Decision(text: try job.coordinator.ask(.decide(phase, options)))
            job.note(decision.describe(phase))
            if decision == .skip { continue }
            if decision != .adopt, try perform(phase) == .stopped { return .stopped }
            try job.coordinator.ask(.complete(phase, options))
        }
        return .finished
    }

    /// What `run` would do, a line a phase. One process.
    public func dryRun() throws -> [String] { try planner.dryRun() }

    private func perform(_ phase: WorkflowPhase) throws -> TrainingRun.Outcome {
        job.marker.mark("a phase of run")
        switch phase {
        case .prune:
            _ = try PruningJob.run(job, output: paths.pruned)
        case .align:
            return try TrainingRun.run(job, phase: .align, resume: .auto)
        case .quantize:
            try job.world.onRoot {
                let made = try TrainedBase.result(before: .quantize, job.recipe)
                let source = try made.map { try ModelReference.open($0) } ?? TrainedBase.open(job.recipe, .align)
                guard !source.isQuantized else { return }
                try Quantizer(job.recipe.quantization).quantize(source, to: paths.quantized, replacing: true, pool: job.pool)
            }
        case .train:
            return try TrainingRun.run(job, phase: .train, resume: .auto)
        case .evaluate:
            try FinalEvaluation(job, paths, sandbox: sandbox).run()
        }
        return .finished
    }
}

extension WorkflowPhase {
    var index: Int { Self.allCases.firstIndex(of: self)! }
}

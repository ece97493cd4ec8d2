import Foundation
import LoRAMEngine

/// The `run` command: a recipe's phases one after the other. What is done is skipped, what was cut off goes on, and what a changed recipe
/// or input concerns is done again, with all that follows from it.
public struct Workflow {
    public struct Options: Sendable {
        /// This phase alone.
        public var only: WorkflowPhase?
        /// This phase and those behind it.
        public var from: WorkflowPhase?

        public init(only: WorkflowPhase? = nil, from: WorkflowPhase? = nil) {
            self.only = only
            self.from = from
        }
    }

    /// What is going to happen with a phase, and why.
    enum Decision: Equatable {
        case skip
        case start
        case resume
        case again(reason: String)
    }

    private let job: Job
    private let paths: RunPaths
    private let phases: [WorkflowPhase]
    private let options: Options

    /// All ranks call this.
    ///
    /// - Throws: `WorkflowError`, `RecipeError`.
    public init(_ job: Job, _ options: Options) throws {
        self.job = job
        self.options = options
        // Whatever phase a signal finds, the next update obeys it.
        RunSignals.install()
        paths = RunPaths(try job.world.together { try job.recipe.requiredOutput() })
        phases = WorkflowPhase.allCases.filter { $0.isWanted(job.recipe) }
        let known = phases
        try job.world.together {
            guard !known.isEmpty else { throw WorkflowError.nothingToDo }
            for phase in [options.only, options.from].compactMap(\.self) where !known.contains(phase) {
                throw WorkflowError.notWanted(phase: phase.rawValue)
            }
        }
    }

    /// All ranks call this.
    public func run() throws -> TrainingRun.Outcome {
        for phase in phases where isChosen(phase) {
            let decision = try decide(phase)
            job.note(Self.describe(phase, decision))
            if decision == .skip { continue }
            if try perform(phase) == .stopped { return .stopped }
            try onCoordinator { record in
                guard var entry = record.entries[phase] else { return }
                entry.outputs = try outputs(of: phase, &record)
                try record.set(phase, entry)
            }
        }
        return .finished
    }

    /// What `run` would do, a line a phase. One process.
    public func dryRun() throws -> [String] {
        var record = try WorkflowRecord(paths.phases), isFresh = true
        return try phases.filter(isChosen).map { phase in
            // What follows a phase that will be done depends on what that makes.
            var decision = isFresh ? try plan(phase, &record) : .again(reason: "what it reads is made anew")
            if !isFresh, record.entries[phase] == nil { decision = .start }
            if decision != .skip { isFresh = false }
            return Self.describe(phase, decision)
        }
    }

    private func isChosen(_ phase: WorkflowPhase) -> Bool {
        if let only = options.only { return phase == only }
        guard let from = options.from, let first = phases.firstIndex(of: from), let own = phases.firstIndex(of: phase) else { return true }
        return own >= first
    }

    private static func describe(_ phase: WorkflowPhase, _ decision: Decision) -> String {
        switch decision {
        case .skip: "\(phase.rawValue): done already"
        case .start: "\(phase.rawValue): starts"
        case .resume: "\(phase.rawValue): goes on where it was cut off"
        case .again(let reason): "\(phase.rawValue): done again, since \(reason)"
        }
    }

    // MARK: - Deciding

    /// All ranks call this: the coordinator looks, and clears what is to be done again.
    private func decide(_ phase: WorkflowPhase) throws -> Decision {
        var text = ""
        try onCoordinator { record in
            try FileSystem.createDirectory(paths.run)
            let decision = try plan(phase, &record)
            if decision != .skip {
                if case .again = decision { try clear(phase) }
                try record.set(phase, try entry(phase, &record))
            }
            switch decision {
            case .skip: text = "skip"
            case .start: text = "start"
            case .resume: text = "resume"
            case .again(let reason): text = "again \(reason)"
            }
        }
        let decided = String(decoding: try job.world.broadcast(job.world.rank == 0 ? Data(text.utf8) : nil, root: 0), as: UTF8.self)
        return switch decided {
        case "skip": .skip
        case "start": .start
        case "resume": .resume
        default: .again(reason: String(decided.dropFirst("again ".count)))
        }
    }

    private func plan(_ phase: WorkflowPhase, _ record: inout WorkflowRecord) throws -> Decision {
        if let before = phases.last(where: { $0.index < phase.index }), !isChosen(before), record.entries[before]?.outputs == nil {
            throw WorkflowError.missingBefore(phase: phase.rawValue, needed: before.rawValue)
        }
        guard let known = record.entries[phase] else {
            return phase.outputs(paths).contains(where: FilePath.exists) ? .again(reason: "its results are not run's own") : .start
        }
        if let difference = try entry(phase, &record).difference(from: known) { return .again(reason: difference) }
        guard let outputs = known.outputs else { return .resume }
        return try self.outputs(of: phase, &record) == outputs ? .skip : .again(reason: "its results have changed")
    }

    /// A phase's entry as it stands before the phase is run.
    private func entry(_ phase: WorkflowPhase, _ record: inout WorkflowRecord) throws -> WorkflowRecord.Entry {
        var inputs: [String: String] = [:]
        for path in try inputPaths(phase) {
            // A preset has no files: its name says all.
            inputs[path] = FilePath.exists(path) ? try record.hash(path, pool: job.pool) : "none"
        }
        return WorkflowRecord.Entry(settings: phase.settings(job.recipe), inputs: inputs)
    }

    private func inputPaths(_ phase: WorkflowPhase) throws -> [String] {
        let recipe = job.recipe, model = try recipe.requiredModel()
        // The newest checkpoint that earlier phases of this recipe leave.
        func base(before phase: WorkflowPhase) -> String {
            let makers = phases.filter { $0.index < phase.index && [.prune, .align, .quantize].contains($0) }
            return makers.last.map { $0.outputs(paths)[0] } ?? recipe.trainedOn ?? model
        }
        return switch phase {
        case .prune: [model] + [recipe.pruning.calibration.path, recipe.pruning.plan].compactMap(\.self)
        case .align: [base(before: phase)] + recipe.alignment.data.train.map(\.path)
        case .quantize: [base(before: phase)]
        case .train: [base(before: phase), model] + recipe.data.train.map(\.path)
        case .evaluate: [model, paths.adapter] + recipe.data.evaluation.map(\.path)
        }
    }

    private func outputs(of phase: WorkflowPhase, _ record: inout WorkflowRecord) throws -> [String: String] {
        var outputs: [String: String] = [:]
        for path in phase.outputs(paths) where FilePath.exists(path) { outputs[path] = try record.hash(path, pool: job.pool) }
        return outputs
    }

    /// Removes what a phase left. Checkpoints and metrics go too: they belong to other settings.
    private func clear(_ phase: WorkflowPhase) throws {
        for path in phase.outputs(paths) where FilePath.exists(path) { try FileManager.default.removeItem(atPath: path) }
        guard let training = Recipe.Phase(rawValue: phase.rawValue) else { return }
        for step in try paths.states.committedSteps() {
            let path = paths.states.committedPath(step: step)
            if try StateManifest(directory: path).phase == training { try FileManager.default.removeItem(atPath: path) }
        }
        try MetricsFile(paths.metrics).cut(phase: training, beyond: -1)
    }

    /// Runs `body` on rank 0 with the record; all ranks throw or none.
    private func onCoordinator(_ body: (inout WorkflowRecord) throws -> Void) throws {
        try job.world.onRoot {
            var record = try WorkflowRecord(paths.phases)
            try body(&record)
        }
    }

    // MARK: - Doing

    private func perform(_ phase: WorkflowPhase) throws -> TrainingRun.Outcome {
        job.marker.mark("a phase of run")
        switch phase {
        case .prune:
            _ = try PruningJob.run(job, output: paths.pruned)
        case .align:
            return try TrainingRun.run(job, phase: .align, resume: .auto)
        case .quantize:
            try job.world.onRoot {
                let inputs = try TrainingInputs.base(job.recipe, .align)
                let source = FilePath.exists(paths.aligned) ? try ModelReference.open(paths.aligned) : inputs
                guard !source.isQuantized else { return }
                try Quantizer(job.recipe.quantization).quantize(source, to: paths.quantized, replacing: true, pool: job.pool)
            }
        case .train:
            return try TrainingRun.run(job, phase: .train, resume: .auto)
        case .evaluate:
            try FinalEvaluation(job, paths).run()
        }
        return .finished
    }
}

extension WorkflowPhase {
    var index: Int { Self.allCases.firstIndex(of: self)! }
}

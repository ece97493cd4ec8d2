import Foundation
import LoRAMEngine

/// Decides what `run` does with each phase, by the record in the run directory. One process does.
struct WorkflowPlanner {
    /// What is going to happen with a phase, and why.
    enum Decision: Equatable {
        case skip
        case start
        case resume
        /// Its result is complete: only the record was not written any more.
        case adopt
        case again(reason: String)

        var text: String {
            switch self {
            case .skip: "skip"
            case .start: "start"
            case .resume: "resume"
            case .adopt: "adopt"
            case .again(let reason): "again \(reason)"
            }
        }

        init(text: String) {
            switch text {
            case "skip": self = .skip
            case "start": self = .start
            case "resume": self = .resume
            case "adopt": self = .adopt
            default: self = .again(reason: String(text.dropFirst("again ".count)))
            }
        }

        func describe(_ phase: WorkflowPhase) -> String {
            switch self {
            case .skip: "\(phase.rawValue): done already"
            case .start: "\(phase.rawValue): starts"
            case .resume: "\(phase.rawValue): goes on where it was cut off"
            case .adopt: "\(phase.rawValue): was complete when it was cut off"
            case .again(let reason): "\(phase.rawValue): done again, since \(reason)"
            }
        }
    }

    /// Those that the recipe asks for.
    let phases: [WorkflowPhase]
    let paths: RunPaths
    private let recipe: Recipe
    private let options: Workflow.Options
    private let pool: ThreadPool

    /// - Throws: `WorkflowError`, `RecipeError`.
    init(_ recipe: Recipe, _ options: Workflow.Options, pool: ThreadPool) throws {
        self.recipe = recipe
        self.options = options
        self.pool = pool
        paths = RunPaths(try recipe.requiredOutput())
        phases = WorkflowPhase.allCases.filter { $0.isWanted(recipe) }
        guard !phases.isEmpty else { throw WorkflowError.nothingToDo }
        for phase in [options.only, options.from].compactMap(\.self) where !phases.contains(phase) {
            throw WorkflowError.notWanted(phase: phase.rawValue)
        }
    }

    func isChosen(_ phase: WorkflowPhase) -> Bool {
        if let only = options.only { return phase == only }
        guard let from = options.from, let first = phases.firstIndex(of: from), let own = phases.firstIndex(of: phase) else { return true }
        return own >= first
    }

    /// What `run` would do, a line a phase.
    func dryRun() throws -> [String] {
        var record = try WorkflowRecord(paths.phases), isFresh = true
        return try phases.filter(isChosen).map { phase in
            // What follows a phase that will be done depends on what that makes.
            var decision: Decision = isFresh ? try plan(phase, &record) : .again(reason: "what it reads is made anew")
            if !isFresh, record.entries[phase] == nil { decision = .start }
            if decision != .skip { isFresh = false }
            return decision.describe(phase)
        }
    }

    /// Decides, and clears what is to be done again.
    func decide(_ phase: WorkflowPhase) throws -> Decision {
        var record = try WorkflowRecord(paths.phases)
        try FileSystem.createDirectory(paths.run)
        let decision = try plan(phase, &record)
        if decision != .skip {
            if case .again = decision { try clear(phase) }
            // Training begins: commits of what comes after it, and of what `run` began and is no longer asked to end, are void.
            if [.align, .train].contains(phase), decision != .resume, decision != .adopt {
                for other in WorkflowPhase.allCases where other.index > phase.index || (!phases.contains(other) && record.entries[other] != nil) {
                    try removeCommits(of: other)
                }
            }
            try record.set(phase, try entry(phase, &record))
        }
        return decision
    }

    /// Records what a phase has left, now that it is done.
    func complete(_ phase: WorkflowPhase) throws {
        var record = try WorkflowRecord(paths.phases)
        guard var entry = record.entries[phase] else { return }
        entry.outputs = try outputs(of: phase, &record)
        try record.set(phase, entry)
    }

    private func plan(_ phase: WorkflowPhase, _ record: inout WorkflowRecord) throws -> Decision {
        if let before = phases.last(where: { $0.index < phase.index }), !isChosen(before), record.entries[before]?.outputs == nil {
            throw WorkflowError.missingBefore(phase: phase.rawValue, needed: before.rawValue)
        }
        guard let known = record.entries[phase] else {
            return phase.outputs(paths).contains(where: FilePath.exists) ? .again(reason: "its results are not run's own") : .start
        }
        if let difference = try entry(phase, &record).difference(from: known) { return .again(reason: difference) }
        guard let outputs = known.outputs else {
            // A checkpoint gets its name when it is complete.
            return [.prune, .align].contains(phase) && Checkpoint.hasWeights(phase.outputs(paths)[0]) ? .adopt : .resume
        }
        return try self.outputs(of: phase, &record) == outputs ? .skip : .again(reason: "its results have changed")
    }

    /// A phase's entry as it stands before the phase is run.
    private func entry(_ phase: WorkflowPhase, _ record: inout WorkflowRecord) throws -> WorkflowRecord.Entry {
        var inputs: [String: String] = [:]
        for path in try inputPaths(phase) {
            // A preset has no files: its name says all.
            inputs[path] = FilePath.exists(path) ? try record.hash(path, pool: pool) : "none"
        }
        return WorkflowRecord.Entry(settings: phase.settings(recipe), inputs: inputs)
    }

    private func inputPaths(_ phase: WorkflowPhase) throws -> [String] {
        let model = try recipe.requiredModel()
        // The newest checkpoint that earlier phases of this recipe leave.
        func base(before phase: WorkflowPhase) -> String {
            let makers = phases.filter { $0.index < phase.index && [.prune, .align, .quantize].contains($0) }
            return makers.last.map { $0.outputs(paths)[0] } ?? recipe.trainedOn ?? model
        }
        let models: [String] =
            switch phase {
            case .prune: [model]
            case .align, .quantize: [base(before: phase)]
            case .train: [base(before: phase), model]
            case .evaluate: [model, paths.adapter]
            }
        return models + dataPaths(phase)
    }

    /// Files that the user names beside the model.
    private func dataPaths(_ phase: WorkflowPhase) -> [String] {
        switch phase {
        case .prune: [recipe.pruning.calibration.path, recipe.pruning.plan].compactMap(\.self)
        case .align: recipe.alignment.data.train.map(\.path)
        case .quantize: []
        case .train: recipe.data.train.map(\.path)
        case .evaluate: recipe.data.evaluation.map(\.path) + recipe.evaluation.tasks.flatMap { [$0.path] + ($0.fewshot.map { [$0] } ?? []) }
        }
    }

    /// That all files which the phases ahead read are there.
    ///
    /// - Throws: `FileError.cannotRead`.
    func requireData() throws {
        var paths = phases.filter(isChosen).flatMap(dataPaths)
        if phases.contains(where: { $0 == .train && isChosen($0) }) {
            paths += recipe.data.evaluation.map(\.path) + [recipe.lora.initAdapter].compactMap(\.self)
        }
        for path in paths where access(path, R_OK) != 0 { throw FileError.cannotRead(path: path, call: "open", code: errno) }
    }

    private func outputs(of phase: WorkflowPhase, _ record: inout WorkflowRecord) throws -> [String: String] {
        var outputs: [String: String] = [:]
        for path in phase.outputs(paths) where FilePath.exists(path) { outputs[path] = try record.hash(path, pool: pool) }
        return outputs
    }

    /// Removes what a phase left. Checkpoints and metrics go too: they belong to other settings.
    private func clear(_ phase: WorkflowPhase) throws {
        for path in phase.outputs(paths) where FilePath.exists(path) { try FileManager.default.removeItem(atPath: path) }
        try removeCommits(of: phase)
        if let training = Recipe.Phase(rawValue: phase.rawValue) { try MetricsFile(paths.metrics).cut(phase: training, beyond: -1) }
    }

    private func removeCommits(of phase: WorkflowPhase) throws {
        guard let training = Recipe.Phase(rawValue: phase.rawValue) else { return }
        for step in try paths.states.committedSteps() {
            let path = paths.states.committedPath(step: step)
            if try StateManifest(directory: path).phase == training { try FileManager.default.removeItem(atPath: path) }
        }
    }
}

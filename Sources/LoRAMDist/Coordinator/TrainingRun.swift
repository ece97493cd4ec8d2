import Foundation
import LoRAMEngine

/// One phase of training from beginning (or last commit) to end: updates, evaluations, commits, metrics and results.
public struct TrainingRun {
    private let job: Job
    private let inputs: TrainingInputs
    private let trainer: Trainer
    private let paths: RunPaths
    private let firstStep: Int
    private var tokenCount: Int

    /// How a run ended.
    public enum Outcome: Sendable {
        case finished
        /// By SIGUSR2, after a checkpoint: results are not written yet.
        case stopped
    }

    /// Updates between two comparisons of the replicas' weights; every commit compares them too.
    private static let checksumInterval = 50

    /// `train`: LoRA on the (pruned) base. `align`: all weights of it. All ranks call this.
    @discardableResult
    public static func run(_ job: Job, phase: Recipe.Phase, resume: RunDirectory.Resume) throws -> Outcome {
        if phase == .align, resume != .never, try isAligned(job) { return .finished }
        var run = try TrainingRun(job, phase: phase, resume: resume)
        let outcome = try run.train()
        if outcome == .finished {
            try run.writeResults()
            if phase == .train { try job.coordinator.ask(.report) }
        }
        return outcome
    }

    /// An alignment that has come to its end is not to be resumed: its commits may have gone since.
    private static func isAligned(_ job: Job) throws -> Bool {
        let aligned = RunPaths(try job.world.together { try job.recipe.requiredOutput() }).aligned
        let isThere = job.world.rank == 0 && Checkpoint.hasWeights(aligned)
        guard try job.world.allReduce(Int64(isThere ? 1 : 0), .max) == 1 else { return false }
        job.note("align: \(aligned) is complete; remove it, or name another output, to align anew")
        return true
    }

    private init(_ job: Job, phase: Recipe.Phase, resume: RunDirectory.Resume) throws {
        let recipe = job.recipe, world = job.world
        self.job = job
        RunSignals.install()
        try RankAgreement.checkProgram(world, host: job.runtime.host)
        job.marker.mark("reading model and data")
        let output = try world.together { try recipe.requiredOutput() }
        paths = RunPaths(output)
        try job.stage(TrainingInputs.paths(recipe, phase))
        let cached = try TrainingInputs.cachedSources(job, phase: phase)
        let inputs = try world.together {
            try TrainingInputs(recipe: recipe, phase: phase, cached: cached) { TrainingSettings(recipe: recipe, phase: phase, tied: $0.tiesWordEmbeddings) }
        }
        self.inputs = inputs
        let trained = inputs.trained, config = trained.base.config
        let settings = TrainingSettings(recipe: recipe, phase: phase, tied: config.tiesWordEmbeddings)
        let process = try job.processMemory()
        let (grid, seat) = try job.makeGrid(
            layers: config.layerCount,
            allowsReplicas: { replicas in
                (try? GradientGroups(
                    globalBatch: settings.batch.global, microBatch: settings.batch.micro, requestedGroups: settings.parallel.groups,
                    replicas: replicas, mode: settings.parallel.reduction == .fast ? .fast : .reproducible)) != nil
            },
            memories: { dims in
                let storage = StageStorage.forecast(
                    recipe, weights: trained.base.weightBytes, isFile: trained.base.isFile, quantizes: phase == .train)
                return try TrainingLayout(config: config, settings: settings, dims: dims).memories(
                    weights: storage.weights, sharesFrozen: storage.sharesFrozen, kernels: job.kernels, workers: job.pool.threadCount, process: process,
                    hasMasks: trained.masks != nil)
            })
        let layout = try world.together { try TrainingLayout(config: config, settings: settings, dims: grid.dims) }
        try job.stage(tensorsOf: [trained.base.directory, recipe.lora.initAdapter], for: layout.ranges(stage: seat.position.stage), config: config)
        job.marker.mark("loading the stage")
        let storage = try StageStorage.resolve(recipe, model: trained.base, quantizes: phase == .train, seat: seat)
        trainer = try Trainer(
            settings: settings, source: trained.base.source, data: inputs.data, grid: grid, seat: seat, pool: job.pool, kernels: job.kernels,
            storage: storage, masks: settings.usesMasks ? trained.masks : nil, marker: job.marker)
        try RankAgreement.checkReplicas(seat.replicas, hash: trainer.stages.reduce(0) { $0 &* 31 &+ $1.frozenSampleHash() }, what: "frozen weights", step: 0)
        // Before the run directory comes to be: an adapter to start from may not fit.
        if phase == .train, resume != .required { try Self.initialize(trainer, recipe, inputs) }
        let resumed = Int(try job.coordinator.ask(.open(phase: phase, resume: resume, stepCount: settings.schedule.steps, base: inputs.base)))!
        firstStep = resumed + 1
        tokenCount = 0
        if resumed > 0 {
            let run = paths.run, committed = [paths.states.committedPath(step: resumed)]
            try job.stage(committed)
            try job.stage(tensorsOf: committed, for: layout.ranges(stage: seat.position.stage), config: config)
            let state = try world.together { try StateReader(run: run, step: resumed) }
            try trainer.restore(state, job.storage)
            tokenCount = state.manifest.position.tokenCount
        }
        try describe(job, resumed: resumed)
    }

    /// What the run works on. Said when nothing can be wrong with it any more, so that an error stands alone. All ranks call this.
    private func describe(_ job: Job, resumed: Int) throws {
        let name = inputs.trained.base.name, config = inputs.trained.base.config, phase = trainer.settings.phase
        job.note("\(phase.rawValue): \(name), \(Formatting.grouped(config.parameterCount)) parameters" + (inputs.trained.plan == nil ? "" : ", pruned"))
        if phase == .train, job.recipe.lora.resolvedTargets(tied: config.tiesWordEmbeddings).droppedHead {
            job.note("note: \(name) ties its head to the embedding: LoRA's default targets leave lm_head out")
        }
        if phase == .align, config.tiesWordEmbeddings, job.recipe.alignment.frozen.contains(where: { NamePattern($0).matches(WeightName.lmHead) }) {
            job.note("note: \(name) ties its head to the embedding: freezing lm_head freezes the embedding too")
        }
        if phase == .align {
            let bytes = try trainer.seat.training.allReduce(Int64(trainer.chunks.reduce(0) { $0 + $1.optimizer.shard.byteCount }), .max)
            job.note("optimizer state: \(Formatting.grouped(Int(bytes))) bytes on the fullest rank")
        }
        let counts = inputs.data.statistics
        if counts.truncated + counts.dropped > 0 {
            job.note(
                "data: \(Formatting.grouped(counts.records)) records, \(Formatting.grouped(counts.samples)) samples, \(Formatting.grouped(counts.truncated)) cut to "
                    + "\(trainer.settings.data.length) tokens, \(Formatting.grouped(counts.dropped)) dropped for want of a token to learn")
        }
        if resumed > 0 { job.note("resuming after update \(resumed)") }
    }

    /// LoRA's start: drawn from the seed, or another adapter's values.
    private static func initialize(_ trainer: Trainer, _ recipe: Recipe, _ inputs: TrainingInputs) throws {
        for stage in trainer.stages { stage.initializeLoRA(seed: recipe.seed) }
        guard let path = recipe.lora.initAdapter, let lora = trainer.settings.training.lora else { return }
        try trainer.seat.training.together {
            let adapter = try Adapter(directory: path)
            try adapter.validate(for: inputs.trained.base.config)
            func describe(_ lora: LoRAConfig) -> String {
                "rank \(lora.rank), scale \(lora.scale) on \(LinearSite.allCases.filter(lora.targets.contains).map(\.rawValue).joined(separator: ", "))"
            }
            try adapter.require(plan: inputs.trained.plan)
            guard describe(adapter.lora) == describe(lora) else {
                throw TrainingError.initialAdapterDiffers(path: path, expected: describe(lora), found: describe(adapter.lora))
            }
            for stage in trainer.stages { try stage.loadParameters(from: adapter) }
        }
    }

    private mutating func train() throws -> Outcome {
        let settings = trainer.settings, steps = settings.schedule.steps
        let evaluator = Evaluator(stages: trainer.stages, seat: trainer.seat, microBatchSize: settings.batch.micro, marker: job.marker)
        var report = StepReport(job: job, trainer: trainer)
        for step in stride(from: firstStep, through: steps, by: 1) {
            let clock = ContinuousClock(), start = clock.now
            let update = try trainer.update(step)
            tokenCount += update.tokenCount
            try report.add(update, seconds: (clock.now - start) / .seconds(1))
            if !inputs.evaluation.isEmpty, step % settings.evaluation.every == 0 || step == steps {
                var values: [(name: String, value: Double)] = []
                for set in inputs.evaluation { values.append((set.name, try evaluator.score(set.data).perplexity)) }
                try job.coordinator.tell(.evaluation(EvaluationRow(step: step, phase: settings.phase, values: values)))
            }
            let request = try RunSignals.take(trainer.seat.training)
            let commits = step % settings.checkpoint.every == 0 || step == steps || request != .none
            if commits || step % Self.checksumInterval == 0 { try compareReplicas(step) }
            if commits { try commit(step) }
            if request == .checkpoint { job.note("checkpoint of update \(step) written, as SIGUSR1 asked") }
            if request == .stop, step < steps {
                job.note("stopped after update \(step), as SIGUSR2 asked; --resume goes on from there")
                return .stopped
            }
        }
        return .finished
    }

    /// Returns when the state after an update is committed.
    private func commit(_ step: Int) throws {
        let position = TrainingPosition(
            sampleCount: step * trainer.settings.batch.global, tokenCount: tokenCount, optimizerStepCount: trainer.optimizerStepCount)
        try job.coordinator.ask(.begin(step: step))
        let records = try trainer.writeState(to: paths.states.temporaryPath(step: step), job.storage)
        try job.coordinator.ask(
            .commit(step: step, position: position, records: records ?? [], keep: trainer.settings.checkpoint.keep))
    }

    /// Replicas of a stage must have the same trained weights after every update: a flipped bit in one of them would spread.
    private func compareReplicas(_ step: Int) throws {
        try RankAgreement.checkReplicas(
            trainer.seat.replicas, hash: RankAgreement.hash(trainer.stages), what: "trained weights", step: step)
    }

    private func writeResults() throws {
        let trained = inputs.trained
        switch trainer.settings.phase {
        case .align:
            try trainer.writeModel(
                to: paths.aligned, source: trained.base.source, companionsFrom: trained.base.directory ?? job.recipe.model, plan: trained.plan,
                masks: trained.masks)
        case .train:
            let output = AdapterOutput(job.recipe, trained)
            try trainer.writeAdapter(output, in: paths)
            try job.world.together { if job.world.rank == 0 { try output.recover(in: paths) } }
            if let note = output.note(in: paths) { job.note(note) }
        }
        try trainer.grid.free()
        if trainer.settings.phase == .train, job.recipe.recovery.merge { try merge() }
    }

    /// The full model, from the original's weights; random weights have no use for one.
    private func merge() throws {
        let original = job.recipe.model ?? (inputs.trained.plan == nil ? inputs.trained.base.directory : nil)
        guard let original, Checkpoint.hasWeights(original) else {
            return job.note("note: no weights of the original model are at hand: \(paths.adapter) is not merged")
        }
        var settings = MergeRun.Settings(base: original, adapter: paths.adapter, output: paths.model)
        settings.codec = job.recipe.recovery.compress
        settings.replacing = true
        if let report = try MergeRun.run(job, settings) { job.note("\(report)") }
    }
}

extension Recipe {
    /// `recovery.fill` with its seed.
    public var recoveryFill: AdapterRecovery.Fill { recovery.fill == .normal ? .normal(seed: seed) : .zero }
}

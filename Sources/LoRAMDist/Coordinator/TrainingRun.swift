import Foundation
import LoRAMEngine

/// One phase of training from beginning (or last commit) to end: updates, evaluations, commits, metrics and results.
public struct TrainingRun {
    private let job: Job
    private let inputs: TrainingInputs
    private let trainer: Trainer
    /// The coordinator's; nil on the other ranks.
    private let directory: RunDirectory?
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
        var run = try TrainingRun(job, phase: phase, resume: resume)
        let outcome = try run.train()
        if outcome == .finished { try run.writeResults() }
        return outcome
    }

    private init(_ job: Job, phase: Recipe.Phase, resume: RunDirectory.Resume) throws {
        let recipe = job.recipe, world = job.world
        self.job = job
        RunSignals.install()
        try RankAgreement.checkProgram(world, host: job.runtime.host)
        job.marker.mark("reading model and data")
        let output = try world.together { try recipe.requiredOutput() }
        paths = RunPaths(output)
        let cached = try TrainingInputs.cachedSources(job, phase: phase)
        let inputs = try world.together {
            try TrainingInputs(recipe: recipe, phase: phase, cached: cached) { TrainingSettings(recipe: recipe, phase: phase, tied: $0.tiesWordEmbeddings) }
        }
        self.inputs = inputs
        let config = inputs.base.config
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
                    recipe, weights: inputs.base.weightBytes, isFile: inputs.base.isFile, quantizes: phase == .train)
                return try TrainingLayout(config: config, settings: settings, dims: dims).memories(
                    weights: storage.weights, sharesFrozen: storage.sharesFrozen, kernels: job.kernels, workers: job.pool.threadCount, process: process,
                    hasMasks: inputs.masks != nil)
            })
        job.marker.mark("loading the stage")
        let storage = try StageStorage.resolve(recipe, model: inputs.base, quantizes: phase == .train, seat: seat)
        trainer = try Trainer(
            settings: settings, source: inputs.base.source, data: inputs.data, grid: grid, seat: seat, pool: job.pool, kernels: job.kernels,
            storage: storage, masks: settings.usesMasks ? inputs.masks : nil, marker: job.marker)
        try RankAgreement.checkReplicas(seat.replicas, hash: trainer.stages.reduce(0) { $0 &* 31 &+ $1.frozenSampleHash() }, what: "frozen weights", step: 0)
        // Before the run directory comes to be: an adapter to start from may not fit.
        if phase == .train, resume != .required { try Self.initialize(trainer, recipe, config) }
        directory = try world.together {
            grid.isCoordinator ? try RunDirectory(output, phase: phase, recipe: recipe, resume: resume) : nil
        }
        let resumed = try seat.training.allReduce(Int64(directory?.resumed?.manifest.step ?? 0), .max)
        firstStep = Int(resumed) + 1
        tokenCount = 0
        if resumed > 0 {
            let run = paths.run
            let state = try world.together { try StateReader(run: run, step: Int(resumed)) }
            try trainer.restore(state)
            tokenCount = state.manifest.position.tokenCount
        }
        describe(job, resumed: Int(resumed))
    }

    /// What the run works on. Said when nothing can be wrong with it any more, so that an error stands alone.
    private func describe(_ job: Job, resumed: Int) {
        let name = inputs.base.name, config = inputs.base.config, phase = trainer.settings.phase
        job.note("\(phase.rawValue): \(name), \(Formatting.grouped(config.parameterCount)) parameters" + (inputs.plan == nil ? "" : ", pruned"))
        if phase == .train, job.recipe.lora.resolvedTargets(tied: config.tiesWordEmbeddings).droppedHead {
            job.note("note: \(name) ties its head to the embedding: LoRA's default targets leave lm_head out")
        }
        if phase == .align, config.tiesWordEmbeddings, job.recipe.alignment.frozen.contains("lm_head") {
            job.note("note: \(name) ties its head to the embedding: freezing lm_head freezes the embedding too")
        }
        if resumed > 0 { job.note("resuming after update \(resumed)") }
    }

    /// LoRA's start: drawn from the seed, or another adapter's values.
    private static func initialize(_ trainer: Trainer, _ recipe: Recipe, _ config: LlamaConfig) throws {
        for stage in trainer.stages { stage.initializeLoRA(seed: recipe.seed) }
        guard let path = recipe.lora.initAdapter, let lora = trainer.settings.training.lora else { return }
        try trainer.seat.training.together {
            let adapter = try Adapter(directory: path)
            try adapter.validate(for: config)
            func describe(_ lora: LoRAConfig) -> String {
                "rank \(lora.rank) on \(LinearSite.allCases.filter(lora.targets.contains).map(\.rawValue).joined(separator: ", "))"
            }
            guard describe(adapter.lora) == describe(lora) else {
                throw TrainingError.initialAdapterDiffers(path: path, expected: describe(lora), found: describe(adapter.lora))
            }
            for stage in trainer.stages { try stage.loadParameters(from: adapter) }
        }
    }

    private mutating func train() throws -> Outcome {
        let settings = trainer.settings, steps = settings.schedule.steps
        let evaluator = Evaluator(stages: trainer.stages, seat: trainer.seat, microBatchSize: settings.batch.micro, marker: job.marker)
        var report = StepReport(job: job, trainer: trainer, directory: directory)
        for step in stride(from: firstStep, through: steps, by: 1) {
            let clock = ContinuousClock(), start = clock.now
            let update = try trainer.update(step)
            tokenCount += update.tokenCount
            try report.add(update, seconds: (clock.now - start) / .seconds(1))
            if !inputs.evaluation.isEmpty, step % settings.evaluation.every == 0 || step == steps {
                var values: [(name: String, value: Double)] = []
                for set in inputs.evaluation { values.append((set.name, try evaluator.score(set.data).perplexity)) }
                try report.add(EvaluationRow(step: step, phase: settings.phase, values: values))
            }
            let request = try RunSignals.take(trainer.seat.training)
            let commits = step % settings.checkpoint.every == 0 || step == steps || request != .none
            if commits || step % Self.checksumInterval == 0 { try compareReplicas(step) }
            if commits {
                try directory?.metrics.sync()
                try trainer.save(
                    step: step, tokenCount: tokenCount, states: paths.states, fingerprint: job.recipe.fingerprint(of: settings.phase))
            }
            if request == .checkpoint { job.note("checkpoint of update \(step) written, as SIGUSR1 asked") }
            if request == .stop, step < steps {
                job.note("stopped after update \(step), as SIGUSR2 asked; --resume goes on from there")
                return .stopped
            }
        }
        return .finished
    }

    /// Replicas of a stage must have the same trained weights after every update: a flipped bit in one of them would spread.
    private func compareReplicas(_ step: Int) throws {
        try RankAgreement.checkReplicas(
            trainer.seat.replicas, hash: RankAgreement.hash(trainer.stages), what: "trained weights", step: step)
    }

    private func writeResults() throws {
        let base = inputs.base
        switch trainer.settings.phase {
        case .align:
            try trainer.writeModel(
                to: paths.aligned, source: base.source, companionsFrom: base.directory ?? job.recipe.model, plan: inputs.plan,
                masks: inputs.masks)
        case .train:
            if let plan = inputs.plan {
                try trainer.writeAdapter(to: paths.prunedAdapter, baseModel: base.name, extra: [AdapterRecovery.mark(of: plan)])
                try job.world.together {
                    guard let directory else { return }
                    try AdapterRecovery(source: inputs.original, plan: plan).recover(
                        Adapter(directory: directory.paths.prunedAdapter), fill: job.recipe.recoveryFill, to: directory.paths.adapter,
                        baseModel: job.recipe.model, replacing: true)
                }
            } else {
                // Without a change of shapes it fits the original as it is.
                let mask = inputs.masks == nil ? .none : job.recipe.lora.mask
                try trainer.writeAdapter(
                    to: paths.adapter, baseModel: inputs.masks == nil ? base.name : job.recipe.model ?? base.name,
                    extra: mask == .none ? [] : [AdapterMask.member(mask)], masks: mask == .none ? nil : inputs.masks)
                if mask != .none { job.note("note: the product of \(paths.adapter) is to be masked: evaluate does it, plain PEFT does not") }
            }
        }
        try trainer.grid.free()
        if trainer.settings.phase == .train, job.recipe.recovery.merge { try merge() }
    }

    /// The full model, from the original's weights; random weights have no use for one.
    private func merge() throws {
        let original = job.recipe.model ?? (inputs.plan == nil ? inputs.base.directory : nil)
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

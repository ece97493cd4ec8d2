import Foundation
import LoRAMEngine

/// The prunings that look at a model at work: `stru` by gradient importance, `semi` and `unst` by SparseGPT, Wanda or magnitude; over the job's grid.
public enum PruningJob {
    /// All ranks call this. Rank 0 gets the report, the others nil.
    ///
    /// - Throws: errors of the recipe, the model, the texts and the files, before any work where they can be known.
    public static func run(_ job: Job, output: String) throws -> PruningReport? {
        if PruningRun.handles(job.recipe.pruning) {
            var report: PruningReport?
            try job.world.onRoot { report = try PruningRun.run(job.recipe, output: output) }
            return report
        }
        try job.stage([job.recipe.model, job.recipe.pruning.calibration.path])
        job.marker.mark("reading model and data")
        let inputs = try job.world.together { try Inputs(job, output: output) }
        return try job.recipe.pruning.method.isStructured ? runStructured(job, inputs, output) : runSparse(job, inputs, output)
    }

    /// What all ranks read before any of them works.
    private struct Inputs {
        let model: ModelReference
        let calibration: CalibrationData
        let score: WeightScore

        init(_ job: Job, output: String) throws {
            let recipe = job.recipe, pruning = recipe.pruning
            model = try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
            guard model.config.isUniform else { throw PruningError.notUniform }
            // A quantized weight has no gradient that could be compared, nor a place for zeros.
            for (name, shape) in WeightLayout.names(model.config) { _ = try model.dtype(name, shape) }
            score = WeightScore(pruning.score)
            _ = try StructuredCounts.checkedLayers(model.config, pruning)
            let needsTexts = pruning.method.isStructured || score.needsCalibration
            calibration = !needsTexts ? CalibrationData(sequences: []) : try CalibrationData(
                pruning, config: model.config, tokenizer: TrainingInputs.tokenizer(for: model, recipe), seed: recipe.seed)
            // The writers refuse it too, but only after hours of work.
            if job.world.rank == 0, FilePath.exists(output), try !FilePath.isDirectory(output) || !FilePath.names(inDirectory: output).isEmpty {
                throw FileError.exists(path: output)
            }
        }
    }

    private static func partition(_ config: LlamaConfig, _ inputs: Inputs, stages: Int) throws -> Partition {
        try ModelCost(config: config, training: .dense(head: false), contextLength: inputs.calibration.longest, recompute: true).partition(stages: stages)
    }

    private static func makeGrid(
        _ job: Job, _ inputs: Inputs, allowsReplicas: (Int) -> Bool
    ) throws -> (ProcessGrid, ProcessGrid.Seat) {
        let config = inputs.model.config
        let memory = PruningMemory(
            config: config, pruning: job.recipe.pruning, score: inputs.score, calibration: inputs.calibration, job: job, model: inputs.model,
            process: try job.processMemory())
        return try job.makeGrid(
            layers: config.layerCount, allowsReplicas: allowsReplicas,
            memories: { dims in memory.stages(dims, partition: try partition(config, inputs, stages: dims.stages)) })
    }

    // MARK: - Structured

    private static func runStructured(_ job: Job, _ inputs: Inputs, _ output: String) throws -> PruningReport? {
        let recipe = job.recipe, config = inputs.model.config, world = job.world
        let method = try world.together { try ImportancePruning(recipe.pruning, config: config, seed: recipe.seed) }
        let (grid, seat) = try makeGrid(job, inputs) { _ in true }
        let sequences = inputs.calibration.sequences, replica = seat.position.replica, replicas = grid.dims.replicas
        let own = Array(sequences[sequences.count * replica / replicas..<sequences.count * (replica + 1) / replicas])
        var plan = method.start, scores: [LayerImportance]?, readByteCount = 0
        for iteration in 0..<method.iterations {
            let source = try world.together { iteration == 0 ? inputs.model.source : try PrunedSource(inputs.model.source, plan: plan) }
            let walk = try LayerWalk(
                job, model: inputs.model, source: source, seat: seat,
                partition: try partition(source.config, inputs, stages: grid.dims.stages), sequences: own)
            let importances = try ImportanceWalk(
                walk, settings: .init(recipe.pruning), prunedLayers: method.prunedLayers, calibration: inputs.calibration
            ).run()
            readByteCount += walk.readByteCount
            if scores == nil { scores = importances }
            if let importances { plan = try method.next(plan, iteration: iteration, importances: importances) }
            let text = try world.broadcast(world.rank == 0 ? Data(plan.serialized().utf8) : nil, root: 0)
            plan = try PruningPlan(json: [UInt8](text), path: PruningPlan.fileName)
            job.note("round \(iteration + 1) of \(method.iterations): importances of \(method.prunedLayers.count) layers")
        }
        let total = Int(try world.allReduce(Int64(readByteCount), .sum))
        try grid.free()
        var report: PruningReport?
        try world.onRoot {
            report = try PruningRun.apply(plan, to: inputs.model, output: output, scores: scores, readByteCount: total)
        }
        return report
    }

    // MARK: - Non-structured

    private static func runSparse(_ job: Job, _ inputs: Inputs, _ output: String) throws -> PruningReport? {
        let recipe = job.recipe, pruning = recipe.pruning, config = inputs.model.config, world = job.world
        let prunedLayers = try StructuredCounts.checkedLayers(config, pruning)
        let count = inputs.calibration.sequences.count
        let (grid, seat) = try makeGrid(job, inputs) {
            (try? SparseWalk.groups(sampleCount: count, parallel: recipe.parallel, replicas: $0)) != nil
        }
        let groups = try world.together { try SparseWalk.groups(sampleCount: count, parallel: recipe.parallel, replicas: grid.dims.replicas) }
        let own = groups.microBatches(replica: seat.position.replica).clamped(to: 0..<count)
        let walk = try LayerWalk(
            job, model: inputs.model, source: inputs.model.source, seat: seat, partition: try partition(config, inputs, stages: grid.dims.stages),
            sequences: Array(inputs.calibration.sequences[own]))
        let label = PruningMasks.Label(
            method: pruning.method.rawValue, score: inputs.score, sparsity: pruning.sparsity, sourceConfigHash: config.identityHash)
        let writer = try world.together {
            world.rank == 0 ? try SparseCheckpointWriter(inputs.model, label: label, prunedLayers: prunedLayers, to: output) : nil
        }
        try SparseWalk(
            walk, sparsifier: LayerSparsifier(score: inputs.score, sparsity: pruning.sparsity, sampleCount: max(count, 1)), prunedLayers: prunedLayers,
            groups: groups
        ).run(writer)
        let total = Int(try world.allReduce(Int64(walk.readByteCount), .sum))
        try grid.free()
        return try writer.map {
            try PruningReport(
                method: pruning.method.rawValue, ratio: pruning.sparsity.fraction, originalParameters: config.parameterCount,
                prunedParameters: config.parameterCount - $0.prunedCount, output: output, readByteCount: total + $0.readByteCount)
        }
    }
}

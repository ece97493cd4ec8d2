import Foundation
import LoRAMEngine

/// Perplexities of the evaluation sets under the whole original model with a recovered adapter. The model is streamed layer by layer: it
/// need not fit into memory.
struct FullModelScoring: Sendable {
    /// What it may use.
    struct Limits: Sendable {
        var threadCount: Int
        var memoryByteCount: Int
    }

    private let recipe: Recipe
    private let limits: Limits
    private let model: ModelReference
    private let sets: [(name: String, data: EvaluationData)]

    /// Opens model and data, before anybody works.
    ///
    /// - Throws: errors of model, tokenizer and data.
    init(_ recipe: Recipe, _ limits: Limits) throws {
        self.recipe = recipe
        self.limits = limits
        model = try ModelReference.open(try recipe.requiredModel(), syntheticSeed: recipe.syntheticSeed)
        let settings = TrainingSettings(recipe: recipe, phase: .train, tied: model.config.tiesWordEmbeddings)
        sets = try TrainingInputs.evaluationSets(
            settings, TrainingInputs.configuration(settings, seed: recipe.seed), tokenizer: TrainingInputs.tokenizer(for: model, recipe),
            config: model.config)
    }

    /// On whatever thread calls it. Computes as `evaluate` does: in f32, on 4-bit weights in bf16.
    func score(adapter path: String) throws -> [(name: String, value: Double)] {
        let adapter = try Adapter(directory: path), pool = try ThreadPool(threadCount: limits.threadCount, spinning: false)
        let scoring = StreamedScoring(
            model: model, adapter: adapter, masks: try AdapterMask.masks(of: adapter, config: model.config),
            settings: .init(
                capacity: StageCapacity(tokens: recipe.batch.micro * recipe.data.length, positions: recipe.data.length),
                memoryByteCount: limits.memoryByteCount),
            pool: pool, kernels: try ComputeKernels(type: model.isQuantized ? .bf16 : .f32))
        let batches = try sets.map { set in
            try (0..<set.data.microBatchCount(size: recipe.batch.micro)).map { try set.data.microBatch($0, size: recipe.batch.micro) }
        }
        // One reading of the model for all sets.
        let losses = try scoring.tokenLosses(batches.flatMap { $0 })
        var start = 0
        return zip(sets, batches).map { set, batches in
            defer { start += batches.count }
            // The order of sums is `evaluate`'s.
            let sums = losses[start..<start + batches.count].map { $0.reduce(0, +) }
            let count = losses[start..<start + batches.count].reduce(0) { $0 + $1.count }
            return ("full/\(set.name)", Foundation.exp(sums.reduce(0, +) / Double(count)))
        }
    }
}

import LoRAMEngine

/// What one phase of a recipe (alignment, or training the adapter) asks of the trainer.
public struct TrainingSettings: Sendable, Equatable {
    public var phase: Recipe.Phase
    public var training: Training
    public var data: DataRecipe
    public var batch: BatchRecipe
    public var optimizer: AdamW
    public var clipNorm: Double?
    public var schedule: LearningRateSchedule
    public var checkpoint: CheckpointRecipe
    public var evaluation: EvaluationRecipe
    public var parallel: ParallelRecipe
    public var recomputation: Recomputation
    public var seed: UInt64
    public var onNonfinite: Recipe.NonfinitePolicy
    /// A non-structurally pruned base's masks take part: they keep trained weights at zero, or multiply the adapter's products.
    public var usesMasks: Bool

    /// `tied`: the model's embedding and head are one matrix, which decides LoRA's default targets.
    public init(recipe: Recipe, phase: Recipe.Phase, tied: Bool) {
        let optimizer: OptimizerRecipe, schedule: ScheduleRecipe
        switch phase {
        case .align:
            let alignment = recipe.alignment
            training = .dense(frozen: alignment.frozen.map { NamePattern($0) })
            (data, batch, optimizer, schedule) = (alignment.data, alignment.batch, alignment.optimizer, alignment.schedule)
            (checkpoint, evaluation) = (alignment.checkpoint, alignment.evaluation)
        case .train:
            training = .lora(recipe.lora.config(tied: tied))
            (data, batch, optimizer, schedule) = (recipe.data, recipe.batch, recipe.optimizer, recipe.schedule)
            (checkpoint, evaluation) = (recipe.checkpoint, recipe.evaluation)
        }
        self.phase = phase
        self.optimizer = AdamW(
            beta1: optimizer.betas[0], beta2: optimizer.betas[1], epsilon: optimizer.eps, weightDecay: optimizer.weightDecay)
        clipNorm = optimizer.clipNorm
        self.schedule = LearningRateSchedule(
            kind: LearningRateSchedule.Kind(rawValue: schedule.kind.rawValue)!, peak: optimizer.learningRate, warmupSteps: schedule.warmupSteps,
            steps: schedule.steps)
        parallel = recipe.parallel
        recomputation = Recomputation(rawValue: recipe.compute.recompute.rawValue)!
        seed = recipe.seed
        onNonfinite = recipe.onNonfinite
        usesMasks = phase == .align || recipe.lora.mask == .training
    }

    /// `parallel.pipeline` for this phase. Without dense weight gradients nothing can be put off: zb-h1 is 1f1b.
    var scheduleKind: Schedule.Kind {
        switch parallel.pipeline {
        case .gpipe: .gpipe
        case .interleaved: .interleaved
        case .zeroBubble where training.isDense: .zeroBubble
        case .oneForwardOneBackward, .zeroBubble: .oneForwardOneBackward
        }
    }

    /// In which the trained weights are held: dense ones in bf16 under bf16 compute, with f32 masters in the optimizer's shards.
    func trainedType(_ kernels: ComputeKernels) -> DType { training.isDense && kernels.type == .bf16 ? .bf16 : .f32 }

    /// Tokens of the largest micro-batch.
    var microBatchTokens: Int { batch.micro * data.length }
}

/// What can end a training besides bad files.
public enum TrainingError: DiagnosedError, Equatable {
    case noTrainingData(Recipe.Phase)
    case nonFinite(step: Int, quantity: String, value: String)
    case initialAdapterDiffers(path: String, expected: String, found: String)
    case freezesNothing(pattern: String)
    case nothingTrained
    /// `model` is not what the checkpoint trained on was made of.
    case otherModel(model: String, base: String)
    /// `key`: the recipe's key or the flag that says how long a window is.
    case windowBeyondPositions(key: String, length: Int, positions: Int)

    public var exitCode: ExitStatus {
        switch self {
        case .nonFinite: .failure
        case .noTrainingData: .usage
        default: .badInput
        }
    }

    public var description: String {
        switch self {
        case .noTrainingData(let phase):
            "\(phase.keyPrefix)data.train names no file: set it in the recipe, or --set '\(phase.keyPrefix)data.train=[{path: FILE}]'"
        case .nonFinite(let step, let quantity, let value):
            "the \(quantity) of update \(step) is \(value), expected a finite number: nothing was changed by this update; "
                + "resume from the last checkpoint with a lower learning rate, or set on_nonfinite: skip"
        case .initialAdapterDiffers(let path, let expected, let found):
            "lora.init_adapter \(path) does not fit the recipe: expected \(expected), found \(found)"
        case .freezesNothing(let pattern):
            "alignment.frozen: expected names of weights, parts of them (lm_head, q_proj) or globs, found '\(pattern)', which no weight of the model matches"
        case .nothingTrained:
            "alignment.frozen: expected to leave weights to train, found all of them frozen; take an entry out"
        case .otherModel(let model, let base):
            "model \(model): expected the model that \(base) was made of, found one of another shape; the adapter could not be brought back to it"
        case .windowBeyondPositions(let key, let length, let positions):
            "\(key): expected at most the model's \(positions) positions (max_position_embeddings), found \(length); lower it"
        }
    }
}

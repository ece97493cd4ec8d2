/// Everything a run is made from: README's section "Recipe keys". Loaded from YAML and `--set` overrides by `Recipe.load`; each key's default
/// and range stands at its field.
public struct Recipe: RecipeSection {
    /// The original, whole model: a Hugging Face directory or a preset's name.
    public var model: String?
    /// Random weights of this seed for a preset or a bare config.json; null reads the model's weights.
    public var syntheticSeed: UInt64?
    /// The checkpoint to train on, if it exists already; null: the phases' outputs, or the model itself where no phase made one.
    public var trainedOn: String?
    /// The run directory.
    public var output: String?
    /// Seeds pruning, LoRA's start, dropout and the data order.
    public var seed: UInt64 = 42
    public var pruning = PruningRecipe()
    /// Continual pre-training of full weights; it takes place where it has training data.
    public var alignment = AlignmentRecipe()
    public var quantization = QuantizationRecipe()
    public var lora = LoRARecipe()
    public var data = DataRecipe()
    public var batch = BatchRecipe()
    public var optimizer = OptimizerRecipe()
    public var schedule = ScheduleRecipe()
    public var parallel = ParallelRecipe()
    public var compute = ComputeRecipe()
    public var checkpoint = CheckpointRecipe()
    public var evaluation = EvaluationRecipe()
    public var recovery = RecoveryRecipe()
    /// Seconds without progress after which the job is ended with exit code 75.
    public var watchdogSeconds = 600
    /// What a non-finite loss or gradient does.
    public var onNonfinite = NonfinitePolicy.stop

    public enum NonfinitePolicy: String, RecipeWord {
        /// End the run with one line before the weights are touched.
        case stop
        /// Leave the update out, and report it.
        case skip
    }

    public init() {}

    public static let keys: [RecipeKey<Recipe>] = [
        RecipeKey("model", \.model, .ifGiven(.notEmpty)),
        RecipeKey("synthetic_seed", \.syntheticSeed),
        RecipeKey("trained_on", \.trainedOn, .ifGiven(.notEmpty)),
        RecipeKey("output", \.output, .ifGiven(.notEmpty), influences: .nothing),
        RecipeKey("seed", \.seed),
        RecipeKey("pruning", \.pruning),
        RecipeKey("alignment", \.alignment),
        RecipeKey("quantization", \.quantization),
        RecipeKey("lora", \.lora),
        RecipeKey("data", \.data),
        RecipeKey("batch", \.batch),
        RecipeKey("optimizer", \.optimizer),
        RecipeKey("schedule", \.schedule),
        RecipeKey("parallel", \.parallel),
        RecipeKey("compute", \.compute),
        RecipeKey("checkpoint", \.checkpoint, influences: .nothing),
        RecipeKey("evaluation", \.evaluation, influences: .nothing),
        RecipeKey("recovery", \.recovery, influences: .nothing),
        RecipeKey("watchdog_seconds", \.watchdogSeconds, .within(1...100_000_000), influences: .nothing),
        RecipeKey("on_nonfinite", \.onNonfinite, influences: .nothing),
    ]
}

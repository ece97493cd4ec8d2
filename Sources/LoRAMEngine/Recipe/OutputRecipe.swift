/// `checkpoint`: when the training state is saved.
public struct CheckpointRecipe: RecipeSection {
    /// Updates between two commits.
    public var every = 50
    /// Commits that stay; older ones are removed.
    public var keep = 3

    public init() {}

    public static let keys: [RecipeKey<CheckpointRecipe>] = [
        RecipeKey("every", \.every, .within(1...(1 << 40))),
        RecipeKey("keep", \.keep, .within(1...(1 << 20))),
    ]
}

/// `evaluation`: what is measured during training.
public struct EvaluationRecipe: RecipeSection {
    /// When held-out texts are also scored with the full model.
    public enum FullModel: String, RecipeWord { case never, checkpoint }

    /// A benchmark.
    public struct Task: RecipeSection {
        public var name = ""
        public var path = ""
        /// File of the worked examples.
        public var fewshot: String?
        public var shots = 0
        /// Documents at most; null: all.
        public var limit: Int?

        public init() {}

        public static let keys: [RecipeKey<Task>] = [
            RecipeKey("name", \.name, .notEmpty, isRequired: true),
            RecipeKey("path", \.path, .notEmpty, isRequired: true),
            RecipeKey("fewshot", \.fewshot, .ifGiven(.notEmpty)),
            RecipeKey("shots", \.shots, .within(0...1024)),
            RecipeKey("limit", \.limit, .ifGiven(.atLeast(1))),
        ]
    }

    /// Updates between two evaluations of `data.evaluation`.
    public var every = 50
    public var fullModel = FullModel.never
    public var tasks: [Task] = []

    public init() {}

    public static let keys: [RecipeKey<EvaluationRecipe>] = [
        RecipeKey("every", \.every, .within(1...(1 << 40))),
        RecipeKey("full_model", \.fullModel),
        RecipeKey("tasks", \.tasks),
    ]
}

/// `recovery`: from the pruned adapter to the full model's.
public struct RecoveryRecipe: RecipeSection {
    /// What stands at pruned positions of the recovered adapter.
    public enum Fill: String, RecipeWord {
        case zero
        /// New columns of A from a normal distribution of standard deviation 1 / rank.
        case normal
    }

    /// `none`: plain safetensors; `base`: not stored, computed from the original and the adapter when it is read.
    public enum Codec: String, RecipeWord { case planes, zstd, base, none }

    public var fill = Fill.zero
    /// Also write the merged full model.
    public var merge = true
    /// How the merged model is compressed.
    public var compress = Codec.planes

    public init() {}

    public static let keys: [RecipeKey<RecoveryRecipe>] = [
        RecipeKey("fill", \.fill),
        RecipeKey("merge", \.merge),
        RecipeKey("compress", \.compress),
    ]
}

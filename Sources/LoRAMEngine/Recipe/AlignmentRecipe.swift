/// `alignment`: continual pre-training of full weights on a pruned model, or pre-training from random ones. The authors' settings.
public struct AlignmentRecipe: RecipeSection {
    /// Weights that are not trained.
    public enum Frozen: String, RecipeWord {
        /// The head; of a tied model also the embedding.
        case lmHead = "lm_head"
        case embedding = "embed_tokens"
    }

    public var data: DataRecipe
    public var batch = BatchRecipe()
    public var optimizer: OptimizerRecipe
    public var schedule: ScheduleRecipe
    public var checkpoint: CheckpointRecipe
    public var evaluation: EvaluationRecipe
    public var frozen: [Frozen] = [.lmHead]

    public init() {
        data = DataRecipe()
        data.template = .none
        data.packing = true
        data.answersOnly = false
        optimizer = OptimizerRecipe()
        optimizer.learningRate = 5.0e-5
        schedule = ScheduleRecipe()
        schedule.steps = 1600
        checkpoint = CheckpointRecipe()
        checkpoint.every = 200
        checkpoint.keep = 1
        evaluation = EvaluationRecipe()
        evaluation.every = 10
    }

    public static let keys: [RecipeKey<AlignmentRecipe>] = [
        RecipeKey("data", \.data),
        RecipeKey("batch", \.batch),
        RecipeKey("optimizer", \.optimizer),
        RecipeKey("schedule", \.schedule),
        RecipeKey("checkpoint", \.checkpoint, influences: .nothing),
        RecipeKey("evaluation", \.evaluation, influences: .nothing),
        RecipeKey("frozen", \.frozen, .unique()),
    ]
}

extension RecipeRange {
    /// A list without repeats.
    static func unique<Element: Hashable>(_: Element.Type = Element.self) -> RecipeRange where Value == [Element] {
        RecipeRange("a list without repeats") { Set($0).count == $0.count }
    }
}

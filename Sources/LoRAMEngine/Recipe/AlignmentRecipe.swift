/// `alignment`: continual pre-training of full weights on a pruned model, or pre-training from random ones. The authors' settings.
public struct AlignmentRecipe: RecipeSection {
    public var data: DataRecipe
    public var batch = BatchRecipe()
    public var optimizer: OptimizerRecipe
    public var schedule: ScheduleRecipe
    public var checkpoint: CheckpointRecipe
    public var evaluation: EvaluationRecipe
    /// Weights that are not trained, each a `NamePattern`: a tensor's name, a part of it (`lm_head`, `q_proj`) or a glob with `*`. Freezing
    /// the head of a tied model freezes its embedding too.
    public var frozen = ["lm_head"]

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

/// `batch`: samples of an update.
public struct BatchRecipe: RecipeSection {
    /// Samples of one update over all replicas.
    public var global = 128
    /// Samples that go through the model together; the rounding of sums depends on it.
    public var micro = 4

    public init() {}

    public static let keys: [RecipeKey<BatchRecipe>] = [
        RecipeKey("global", \.global, .within(1...(1 << 24))),
        RecipeKey("micro", \.micro, .within(1...(1 << 20))),
    ]
}

/// `optimizer`: AdamW with decoupled weight decay.
public struct OptimizerRecipe: RecipeSection {
    public var learningRate = 1.0e-3
    public var betas = [0.9, 0.999]
    public var eps = 1.0e-8
    public var weightDecay = 0.0
    /// Largest global norm of the gradient; null: not clipped.
    public var clipNorm: Double? = 1.0

    public init() {}

    public static let keys: [RecipeKey<OptimizerRecipe>] = [
        RecipeKey("learning_rate", \.learningRate, .within(0...1e3)),
        RecipeKey("betas", \.betas, RecipeRange("two numbers, each at least 0 and less than 1") { $0.count == 2 && $0.allSatisfy { (0..<1).contains($0) } }),
        RecipeKey("eps", \.eps, .above(0)),
        RecipeKey("weight_decay", \.weightDecay, .atLeast(0)),
        RecipeKey("clip_norm", \.clipNorm, .ifGiven(.above(0))),
    ]
}

/// `schedule`: the learning rate over the updates.
public struct ScheduleRecipe: RecipeSection {
    public enum Kind: String, RecipeWord { case constant, linear, cosine }

    public var kind = Kind.cosine
    /// Updates over which the rate rises linearly from 0.
    public var warmupSteps = 100
    /// Updates altogether.
    public var steps = 400

    public init() {}

    public static let keys: [RecipeKey<ScheduleRecipe>] = [
        RecipeKey("kind", \.kind),
        RecipeKey("warmup_steps", \.warmupSteps, .within(0...(1 << 40))),
        RecipeKey("steps", \.steps, .within(1...(1 << 40))),
    ]
}

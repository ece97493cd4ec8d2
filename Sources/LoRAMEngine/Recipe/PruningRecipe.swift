/// `pruning`: how the trained-on model is made from the whole one.
public struct PruningRecipe: RecipeSection {
    public enum Method: String, RecipeWord {
        /// Random heads and channels.
        case rand
        /// Heads and channels of the least gradient importance (LLM-Pruner).
        case stru
        /// n:m patterns of zeros (SparseGPT).
        case semi
        /// Zeros anywhere (SparseGPT).
        case unst

        /// Removes whole heads and channels, so that tensors shrink.
        public var isStructured: Bool { self == .rand || self == .stru }
    }

    public enum Score: String, RecipeWord { case auto, magnitude, wanda }

    public enum Importance: String, RecipeWord {
        case vectorize
        case paramFirst = "param_first"
        case paramSecond = "param_second"
        case paramMix = "param_mix"
    }

    public enum Aggregation: String, RecipeWord { case sum, mean, max, prod }

    public enum Grouping: String, RecipeWord {
        /// Query head h belongs to key-value head h div (heads / kv heads).
        case correct
        /// LLM-Pruner's h mod kv heads, to reproduce its results.
        case llmPruner = "llm_pruner"
    }

    /// `pruning.calibration`: the texts from which importances and second moments come.
    public struct Calibration: RecipeSection {
        public var path: String?
        /// Sequences; null: by method (structured 10, non-structured 128).
        public var samples: Int?
        /// Tokens of a sequence; null: by method (structured 64, non-structured 2048).
        public var length: Int?

        public init() {}

        public static let keys: [RecipeKey<Calibration>] = [
            RecipeKey("path", \.path, .ifGiven(.notEmpty)),
            RecipeKey("samples", \.samples, .ifGiven(.atLeast(1))),
            RecipeKey("length", \.length, .ifGiven(.atLeast(2))),
        ]
    }

    public var method = Method.stru
    public var score = Score.auto
    /// `ratio` as it was given; null: by method (structured 0.65, unst 0.55).
    var givenRatio: Double?
    /// n:m of `semi`: n zeros in every m weights.
    public var pattern = "4:8"
    /// First layers that are left whole; null: by method (structured 4, non-structured 0).
    public var keepFirst: Int?
    /// Last layers that are left whole; null: by method (structured 2, non-structured 0).
    public var keepLast: Int?
    /// A `pruning_plan.json` to apply instead of making one.
    public var plan: String?
    public var importance = Importance.paramFirst
    public var aggregation = Aggregation.sum
    public var grouping = Grouping.correct
    /// Rounds of scoring and removing.
    public var iterations = 1
    public var calibration = Calibration()

    public init() {}

    public static let keys: [RecipeKey<PruningRecipe>] = [
        RecipeKey("method", \.method),
        RecipeKey("score", \.score),
        RecipeKey("ratio", \.givenRatio, .ifGiven(.within(0..<1))),
        RecipeKey("pattern", \.pattern, RecipeRange("n:m with 0 < n < m <= 64, such as 4:8") { PruningRecipe.parsePattern($0) != nil }),
        RecipeKey("keep_first", \.keepFirst, .ifGiven(.atLeast(0))),
        RecipeKey("keep_last", \.keepLast, .ifGiven(.atLeast(0))),
        RecipeKey("plan", \.plan, .ifGiven(.notEmpty)),
        RecipeKey("importance", \.importance),
        RecipeKey("aggregation", \.aggregation),
        RecipeKey("grouping", \.grouping),
        RecipeKey("iterations", \.iterations, .within(1...10_000)),
        RecipeKey("calibration", \.calibration),
    ]

    /// Fraction of every pruned layer that is removed, at least 0 and less than 1. `semi` takes it from its pattern, unless it is 0.
    public var ratio: Double {
        get { method == .semi && givenRatio != 0 ? Self.fraction(pattern) : givenRatio ?? (method == .unst ? 0.55 : 0.65) }
        set { givenRatio = newValue }
    }

    /// What `semi` and `unst` make zero.
    public var sparsity: Sparsity {
        guard method == .semi, ratio > 0, let (zeros, of) = Self.parsePattern(pattern) else { return .ratio(ratio) }
        return .pattern(zeros: zeros, of: of)
    }

    /// `keep_first` with the method's default.
    public var keptFirstLayerCount: Int { keepFirst ?? (method.isStructured ? 4 : 0) }
    /// `keep_last` with the method's default.
    public var keptLastLayerCount: Int { keepLast ?? (method.isStructured ? 2 : 0) }
    /// `calibration.samples` with the method's default.
    public var calibrationSampleCount: Int { calibration.samples ?? (method.isStructured ? 10 : 128) }
    /// `calibration.length` with the method's default.
    public var calibrationLength: Int { calibration.length ?? (method.isStructured ? 64 : 2048) }

    /// With every "by method" default written out.
    func resolved() -> PruningRecipe {
        var resolved = self
        resolved.givenRatio = ratio
        resolved.keepFirst = keptFirstLayerCount
        resolved.keepLast = keptLastLayerCount
        resolved.calibration.samples = calibrationSampleCount
        resolved.calibration.length = calibrationLength
        return resolved
    }

    private static func fraction(_ pattern: String) -> Double {
        parsePattern(pattern).map { Double($0.zeros) / Double($0.of) } ?? 0
    }

    /// n and m of `n:m`.
    public static func parsePattern(_ text: String) -> (zeros: Int, of: Int)? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let zeros = Int(parts[0]), let of = Int(parts[1]), zeros > 0, zeros < of, of <= 64 else { return nil }
        return (zeros, of)
    }
}

/// `parallel`: how the work is laid over processes. Only `reduction` and `groups` influence results.
public struct ParallelRecipe: RecipeSection {
    public enum Pipeline: String, RecipeWord {
        case gpipe
        case oneForwardOneBackward = "1f1b"
        case interleaved
        case zeroBubble = "zb-h1"
    }

    public enum Reduction: String, RecipeWord {
        /// The same bits on every grid.
        case reproducible
        /// MPI's own sums.
        case fast
    }

    public enum Coordinator: String, RecipeWord {
        /// Rank 0 also computes.
        case shared
        /// The last rank holds no layers.
        case dedicated
    }

    public enum Storage: String, RecipeWord { case auto, shared, local }

    /// Pipeline stages.
    public var stages = Auto<Int>.auto
    /// Data-parallel copies of every stage.
    public var replicas = Auto<Int>.auto
    public var pipeline = Pipeline.oneForwardOneBackward
    /// Pieces of the model a rank holds in the interleaved schedule.
    public var chunks = 1
    /// Recompute activations before the gradient arrives.
    public var recomputeAhead = true
    public var reduction = Reduction.reproducible
    /// Groups of the reproducible sum; at most one a micro-batch.
    public var groups = 8
    public var coordinator = Coordinator.shared
    /// Compute threads of a rank.
    public var threads = Auto<Int>.auto
    public var storage = Storage.auto

    public init() {}

    public static let keys: [RecipeKey<ParallelRecipe>] = [
        RecipeKey("stages", \.stages, .unlessAuto(.within(1...65536)), influences: .nothing),
        RecipeKey("replicas", \.replicas, .unlessAuto(.within(1...65536)), influences: .nothing),
        RecipeKey("pipeline", \.pipeline, influences: .nothing),
        RecipeKey("chunks", \.chunks, .within(1...1024), influences: .nothing),
        RecipeKey("recompute_ahead", \.recomputeAhead, influences: .nothing),
        RecipeKey("reduction", \.reduction),
        RecipeKey("groups", \.groups, .within(1...65536)),
        RecipeKey("coordinator", \.coordinator, influences: .nothing),
        RecipeKey("threads", \.threads, .unlessAuto(.within(1...4096)), influences: .nothing),
        RecipeKey("storage", \.storage, influences: .nothing),
    ]
}

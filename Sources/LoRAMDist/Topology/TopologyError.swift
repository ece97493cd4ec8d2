import LoRAMEngine

/// A grid of processes that cannot be, or a model that cannot be cut for it.
public enum TopologyError: DiagnosedError, Equatable {
    case notPositive(key: String, found: Int)
    /// `dedicated`: the grid has a coordinator of its own.
    case worldSizeMismatch(stages: Int, replicas: Int, dedicated: Bool, found: Int)
    /// One of stages and replicas is given and no value of the other fits the number of ranks.
    case notDivisible(key: String, given: Int, computeRanks: Int, dedicated: Bool)
    case tooManyStages(stages: Int, layers: Int)
    /// No grid of `computeRanks` ranks satisfies the limits.
    case noGrid(computeRanks: Int, layers: Int, reason: String)
    /// Every grid of the ranks takes more memory than a node has; of the one that comes nearest, on its fullest node. `remedy`: what fits.
    case exceedsMemory(stages: Int, replicas: Int, needed: Int, available: Int, remedy: String)
    case badCost(index: Int, found: Double)

    public var exitCode: ExitStatus {
        switch self {
        case .notPositive, .worldSizeMismatch, .notDivisible, .tooManyStages, .noGrid, .exceedsMemory: .usage
        case .badCost: .failure
        }
    }

    public var description: String {
        switch self {
        case .notPositive(let key, let found):
            return "\(key) must be at least 1, found \(found)"
        case .worldSizeMismatch(let stages, let replicas, let dedicated, let found):
            let grid = stages * replicas
            let coordinator = dedicated ? " + 1 dedicated coordinator" : ""
            let other = dedicated ? "" : " (or -np \(grid + 1) with parallel.coordinator: dedicated)"
            return "\(stages) stages x \(replicas) replicas\(coordinator) need \(grid + (dedicated ? 1 : 0)) ranks, found \(found): "
                + "start with mpirun -np \(grid + (dedicated ? 1 : 0))\(other), or change parallel.stages and parallel.replicas"
        case .notDivisible(let key, let given, let computeRanks, let dedicated):
            let extra = dedicated ? 1 : 0
            let below = computeRanks / given * given
            let fitting = (below > 0 ? "\(below + extra) or " : "") + "\(below + given + extra)"
            return "\(key): \(given) does not divide the \(computeRanks) ranks that compute: start with mpirun -np \(fitting), "
                + "or change \(key)"
        case .tooManyStages(let stages, let layers):
            return "\(stages) stages are more than the model's \(layers) layers: use parallel.stages of at most \(layers)"
        case .noGrid(let computeRanks, let layers, let reason):
            return "no grid of stages x replicas fits \(computeRanks) ranks and a model of \(layers) layers (\(reason)): "
                + "start another number of ranks, or set parallel.stages and parallel.replicas"
        case .exceedsMemory(let stages, let replicas, let needed, let available, let remedy):
            return "no grid of the job's ranks fits their memory: \(stages) stages x \(replicas) replicas need \(Formatting.bytes(needed)) on a node "
                + "with \(Formatting.bytes(available)) to use; \(remedy) (loram-mpi plan shows more)"
        case .badCost(let index, let found):
            return "the cost of unit \(index) of the partition must be finite and not negative, found \(found)"
        }
    }
}

import LoRAMEngine

/// How gradients of different replicas are added.
public enum ReductionMode: String, Sendable, CaseIterable {
    /// In an order that depends on the batch alone: the same bits on every grid.
    case reproducible
    /// By MPI's own all-reduce: any number of replicas, bits depend on it.
    case fast
}

/// A batch that cannot be cut as asked.
public enum GradientGroupsError: DiagnosedError, Equatable {
    case notPositive(key: String, found: Int)
    case notDivisible(global: Int, micro: Int)
    case replicasDoNotShareGroups(replicas: Int, groups: Int, microBatches: Int)
    case tooManyReplicas(replicas: Int, microBatches: Int)

    public var exitCode: ExitStatus { .usage }

    public var description: String {
        switch self {
        case .notPositive(let key, let found):
            return "\(key) must be at least 1, found \(found)"
        case .notDivisible(let global, let micro):
            return "batch.global \(global) is not a multiple of batch.micro \(micro): change one of them"
        case .replicasDoNotShareGroups(let replicas, let groups, let microBatches):
            let most = groups > 1 ? "1 to \(groups) replicas in powers of two" : "1 replica"
            return "\(replicas) replicas cannot share the \(groups) gradient group\(groups == 1 ? "" : "s") of \(microBatches) "
                + "micro-batches evenly: use \(most), or raise parallel.groups, or make batch.global / batch.micro a multiple of "
                + "a larger power of two, or set parallel.reduction: fast"
        case .tooManyReplicas(let replicas, let microBatches):
            return "\(replicas) replicas are more than the \(microBatches) micro-batches of a step: "
                + "use fewer replicas, or raise batch.global, or lower batch.micro"
        }
    }
}

/// The cut of a global batch into micro-batches, gradient groups and replicas.
///
/// The m = global / micro micro-batches form `groupCount` contiguous groups of equal size: the largest power of two that is at
/// most `parallel.groups` and divides m. It does not depend on the grid. Inside a group gradients add up in micro-batch order,
/// groups combine in a balanced binary tree; each replica has a contiguous, aligned run of groups, that is, a subtree.
public struct GradientGroups: Sendable, Equatable {
    public static let defaultGroupCount = 8

    /// m, micro-batches of a whole step.
    public let microBatchCount: Int
    public let groupCount: Int
    public let replicas: Int
    public let mode: ReductionMode

    /// Throws `GradientGroupsError`; in reproducible mode `replicas` must be a power of two that divides the group count.
    public init(
        globalBatch: Int, microBatch: Int, requestedGroups: Int = defaultGroupCount, replicas: Int, mode: ReductionMode
    ) throws(GradientGroupsError) {
        guard globalBatch > 0 else { throw .notPositive(key: "batch.global", found: globalBatch) }
        guard microBatch > 0 else { throw .notPositive(key: "batch.micro", found: microBatch) }
        guard requestedGroups > 0 else { throw .notPositive(key: "parallel.groups", found: requestedGroups) }
        guard replicas > 0 else { throw .notPositive(key: "parallel.replicas", found: replicas) }
        guard globalBatch.isMultiple(of: microBatch) else { throw .notDivisible(global: globalBatch, micro: microBatch) }
        microBatchCount = globalBatch / microBatch
        groupCount = Self.groupCount(microBatches: microBatchCount, requested: requestedGroups)
        self.replicas = replicas
        self.mode = mode
        switch mode {
        case .reproducible:
            guard replicas.nonzeroBitCount == 1, groupCount.isMultiple(of: replicas) else {
                throw .replicasDoNotShareGroups(replicas: replicas, groups: groupCount, microBatches: microBatchCount)
            }
        case .fast:
            guard replicas <= microBatchCount else {
                throw .tooManyReplicas(replicas: replicas, microBatches: microBatchCount)
            }
        }
    }

    private static func groupCount(microBatches: Int, requested: Int) -> Int {
        var count = 1
        while count <= requested / 2, microBatches.isMultiple(of: count * 2) { count *= 2 }
        return count
    }

    public var microBatchesPerGroup: Int { microBatchCount / groupCount }

    /// Groups that one replica accumulates: a power of two in reproducible mode; in fast mode a replica's micro-batches are one.
    public var groupsPerReplica: Int { mode == .fast ? 1 : groupCount / replicas }

    /// The replica's micro-batches within the global batch. In fast mode the first replicas may have one more.
    public func microBatches(replica: Int) -> Range<Int> {
        precondition(0..<replicas ~= replica)
        let (quotient, remainder) = microBatchCount.quotientAndRemainder(dividingBy: replicas)
        let start = replica * quotient + min(replica, remainder)
        return start..<start + quotient + (replica < remainder ? 1 : 0)
    }

    /// Whether a group of the replica ends with this micro-batch, counted within the replica's.
    public func endsGroup(localMicroBatch: Int, replica: Int) -> Bool {
        let count = microBatches(replica: replica).count
        return switch mode {
        case .fast: localMicroBatch == count - 1
        case .reproducible: (localMicroBatch + 1).isMultiple(of: microBatchesPerGroup)
        }
    }

    /// Adds one value a micro-batch ([m]) in the order in which gradients are added in reproducible mode: the same bits on every
    /// grid.
    public func sum(_ values: UnsafePointer<Double>) -> Double {
        func tree(_ first: Int, _ count: Int) -> Double {
            guard count == 1 else { return tree(first, count / 2) + tree(first + count / 2, count / 2) }
            var sum = 0.0
            for index in first * microBatchesPerGroup..<(first + 1) * microBatchesPerGroup { sum += values[index] }
            return sum
        }
        return tree(0, groupCount)
    }
}

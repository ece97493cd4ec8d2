/// One stage's gradient through a training step: accumulated over the replica's micro-batches, then added over the replicas, with
/// the addition of finished parts under way while the last backward pass still works on the others.
///
/// Order of calls in a step: `begin`; per micro-batch the backward pass adds into `current`, in the last one of the step calling
/// `finishTail` as layers are done; `finishGroup` where a group ends; `finish`. Then `total` holds the sum over the global batch.
public final class GradientExchange {
    public let accumulator: GroupAccumulator
    private let reducer: any GradientReducer
    private let buckets: [Range<Int>]
    /// Buckets from this one on are handed to the reducer.
    private var startedBucket: Int

    /// `count`: f32 elements of this stage's gradient. All replicas of the stage make one with equal arguments. `tag`: see
    /// `ReproducibleReducer`.
    public init(count: Int, groups: GradientGroups, plan: ShardPlan, replicas: Communicator, tag: Int = 3, marker: ProgressMarker) {
        precondition(plan.replicas == replicas.size && replicas.size == groups.replicas && plan.mode == groups.mode)
        buckets = plan.buckets
        accumulator = GroupAccumulator(count: count, groupCount: groups.groupsPerReplica)
        reducer =
            switch groups.mode {
            case .reproducible:
                ReproducibleReducer(
                    replicas: replicas, maxBucketCount: plan.maxBucketCount, extent: plan.isSharded ? .segment : .all,
                    cuts: plan.cuts, tag: tag, marker: marker)
            case .fast: FastReducer(replicas: replicas, marker: marker)
            }
        startedBucket = buckets.count
    }

    public var count: Int { accumulator.count }
    /// [count]; see `GroupAccumulator.current`.
    public var current: UnsafeMutablePointer<Float> { accumulator.current }
    /// [count]; the sum over the global batch after `finish`, with a sharded plan in this replica's parts.
    public var total: UnsafeMutablePointer<Float> { accumulator.total }

    public func begin() {
        accumulator.reset()
        startedBucket = buckets.count
    }

    /// During the last backward pass of the step: the gradient at or behind `offset` is final. Reduces the buckets that are
    /// complete by that.
    public func finishTail(from offset: Int) throws {
        precondition(accumulator.isLastGroup)
        accumulator.finishTail(from: offset)
        while startedBucket > 0, buckets[startedBucket - 1].lowerBound >= offset {
            startedBucket -= 1
            try reducer.start(buckets[startedBucket], of: total)
        }
    }

    /// A group's last micro-batch is done.
    public func finishGroup() throws {
        if accumulator.isLastGroup { try finishTail(from: 0) }
        accumulator.finishGroup()
    }

    /// Moves the reduction on without waiting: a hook for `ScheduleExecutor.onIdle`.
    public func progress() throws { try reducer.progress() }

    /// Waits for the reduction.
    public func finish() throws { try reducer.finish() }
}

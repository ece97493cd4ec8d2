/// One stage's gradient through a training step: accumulated over the replica's micro-batches, then added over the replicas, with
/// the addition of finished parts under way while the last backward pass still works on the others.
///
/// Order of calls in a step: `begin`; per micro-batch the backward pass adds into `current`, in the last one of the step calling
/// `finishTail` as layers are done; `finishGroup` where a group ends; `finish`. Then `total` holds the sum over the global batch.
public final class GradientExchange {
    /// Elements of a bucket: large enough that a message's latency does not count, small enough that several follow one another
    /// while backward goes on (16 MiB).
    public static let defaultBucketCount = 4 << 20

    public let accumulator: GroupAccumulator
    private let reducer: any GradientReducer
    private let bucketCount: Int
    /// Elements at or behind this are handed to the reducer.
    private var startedFrom: Int

    /// `count`: f32 elements of this stage's gradient. All replicas of the stage make one with equal arguments.
    public init(
        count: Int, groups: GradientGroups, replicas: Communicator, bucketCount: Int = defaultBucketCount, marker: ProgressMarker
    ) {
        precondition(bucketCount > 0 && replicas.size == groups.replicas)
        self.bucketCount = bucketCount
        accumulator = GroupAccumulator(count: count, groupCount: groups.groupsPerReplica)
        reducer =
            switch groups.mode {
            case .reproducible:
                ReproducibleReducer(replicas: replicas, maxBucketCount: min(bucketCount, count), marker: marker)
            case .fast: FastReducer(replicas: replicas, marker: marker)
            }
        startedFrom = count
    }

    public var count: Int { accumulator.count }
    /// [count]; see `GroupAccumulator.current`.
    public var current: UnsafeMutablePointer<Float> { accumulator.current }
    /// [count]; the sum over the global batch after `finish`.
    public var total: UnsafeMutablePointer<Float> { accumulator.total }

    public func begin() {
        accumulator.reset()
        startedFrom = count
    }

    /// During the last backward pass of the step: the gradient at or behind `offset` is final. Reduces the buckets that are
    /// complete by that.
    public func finishTail(from offset: Int) throws {
        precondition(accumulator.isLastGroup)
        accumulator.finishTail(from: offset)
        while startedFrom > 0, startedFrom - bucketCount >= offset || offset == 0 {
            let start = max(0, startedFrom - bucketCount)
            try reducer.start(start..<startedFrom, of: total)
            startedFrom = start
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

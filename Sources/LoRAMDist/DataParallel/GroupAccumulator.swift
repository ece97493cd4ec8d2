/// Gradient buffers of one replica: micro-batches of a group add up in order in `current`, finished groups combine in a balanced
/// binary tree.
///
/// The tree is a binary counter: after group i, equal-sized neighbours merge (left += right) as long as i has trailing one bits.
/// For g groups (a power of two) that needs log2(g) + 1 buffers of `count` floats, all made here. Main thread; the values under
/// `current` may be written by the compute pool.
public final class GroupAccumulator {
    /// f32 elements of the gradient.
    public let count: Int
    /// Groups of a step.
    public let groupCount: Int
    private let buffers: [FloatBuffer]
    /// Groups finished in this step.
    private var finishedCount = 0
    /// Buffers that hold finished sums; `current` is the next one.
    private var depth = 0
    /// Elements at or behind this are already merged for the group under way.
    private var mergedFrom: Int

    public init(count: Int, groupCount: Int) {
        precondition(groupCount.nonzeroBitCount == 1, "the groups of a replica are a power of two")
        self.count = count
        self.groupCount = groupCount
        buffers = (0...groupCount.trailingZeroBitCount).map { _ in FloatBuffer(count: count) }
        mergedFrom = count
    }

    /// Of the buffers of an accumulator made with these arguments.
    public static func byteCount(count: Int, groupCount: Int) -> Int { (groupCount.trailingZeroBitCount + 1) * count * 4 }

    /// Where the micro-batches of the group under way are added ([count]); zero when the group begins.
    public var current: UnsafeMutablePointer<Float> {
        precondition(finishedCount < groupCount, "all groups of the step are finished")
        return buffers[depth].base
    }

    /// The last group of the step is under way.
    public var isLastGroup: Bool { finishedCount == groupCount - 1 }

    /// The sum of all groups: valid from an element on when `finishTail` has passed it in the last group, everywhere after the last
    /// `finishGroup`. A reduction may go on in it until `reset`.
    public var total: UnsafeMutablePointer<Float> { buffers[0].base }

    /// The group's gradient will not change any more at or behind `offset`: merges that part. Offsets fall from call to call, as
    /// a backward pass finishes its layers from the last to the first.
    public func finishTail(from offset: Int) {
        precondition(0...mergedFrom ~= offset)
        let length = mergedFrom - offset
        mergedFrom = offset
        guard length > 0 else { return }
        for level in 0..<mergeCount {
            addElements(
                UnsafePointer(buffers[depth - level].base + offset), to: buffers[depth - level - 1].base + offset, count: length)
        }
    }

    /// The group is complete; the next one begins at zero.
    public func finishGroup() {
        precondition(finishedCount < groupCount)
        finishTail(from: 0)
        depth += 1 - mergeCount
        finishedCount += 1
        mergedFrom = count
        if finishedCount < groupCount { clearCurrent() }
    }

    /// A new step begins: all groups are open, `current` is zero.
    public func reset() {
        finishedCount = 0
        depth = 0
        mergedFrom = count
        clearCurrent()
    }

    /// Merges that follow the group under way.
    private var mergeCount: Int { (~finishedCount).trailingZeroBitCount }

    private func clearCurrent() { buffers[depth].base.update(repeating: 0, count: count) }
}

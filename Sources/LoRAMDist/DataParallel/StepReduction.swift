/// Loss and token count of a step: one value a micro-batch, gathered exactly and added in the gradients' order, so that they have
/// the same bits on every grid.
///
/// Each micro-batch's slot is filled by one rank (the last stage of its replica) and zero on all others, so the order in which MPI
/// adds does not matter.
public final class StepReduction {
    private let groups: GradientGroups
    private let losses: UnsafeMutablePointer<Double>
    private let tokens: UnsafeMutablePointer<Int64>
    private let lossRequest = Request()
    private let tokenRequest = Request()

    public init(groups: GradientGroups) {
        self.groups = groups
        losses = .allocate(capacity: groups.microBatchCount)
        tokens = .allocate(capacity: groups.microBatchCount)
        begin()
    }

    deinit {
        losses.deallocate()
        tokens.deallocate()
    }

    /// A new step: all slots are zero.
    public func begin() {
        losses.initialize(repeating: 0, count: groups.microBatchCount)
        tokens.initialize(repeating: 0, count: groups.microBatchCount)
    }

    /// Called by the one rank that has the micro-batch's loss: the sum over its target tokens, and their number. `microBatch` counts
    /// within the global batch.
    public func record(microBatch: Int, lossSum: Double, targetTokens: Int) {
        precondition(0..<groups.microBatchCount ~= microBatch)
        losses[microBatch] = lossSum
        tokens[microBatch] = Int64(targetTokens)
    }

    /// All ranks that compute call this once a step: loss sum and target tokens of the global batch.
    public func reduce(over training: Communicator) throws -> (lossSum: Double, targetTokens: Int) {
        let count = groups.microBatchCount
        try training.startAllReduce(losses, count: count, .sum, request: lossRequest)
        try training.startAllReduce(tokens, count: count, .sum, request: tokenRequest)
        try lossRequest.wait()
        try tokenRequest.wait()
        var targetTokens: Int64 = 0
        for index in 0..<count { targetTokens += tokens[index] }
        return (groups.sum(losses), Int(targetTokens))
    }
}

/// All-reduce of f32 sums in a fixed order: replicas combine in a balanced binary tree, neighbours first, whatever their number.
/// Together with `GroupAccumulator` the result has the same bits as one replica that did all groups.
///
/// Recursive halving with distance doubling: in step j the partner is rank XOR 2^j; both hold sums of 2^j replicas for the same
/// segment, each keeps one half of it, sends the other and adds what it receives. After log2(n) steps every rank has 1/n of the
/// bucket, fully reduced; the same steps backwards gather all of it. Each element moves 2 (n-1)/n times.
public final class ReproducibleReducer: GradientReducer {
    /// What a rank has at the end.
    public enum Extent: Sendable {
        /// The whole bucket.
        case all
        /// Its own segment of each bucket (`segment(of:)`): what an optimizer sharded over the replicas needs.
        case segment
    }

    private let replicas: Communicator
    private let extent: Extent
    private let cuts: CutPoints
    private let tag: Int
    private let marker: ProgressMarker
    /// log2 of the number of replicas.
    private let levels: Int
    private let maxBucketCount: Int
    /// What arrives from the partner: at most the larger half of a bucket.
    private let incoming: FloatBuffer
    private let sending = Request()
    private let receiving = Request()

    /// Buckets that wait their turn; taken from `nextBucket` on.
    private var queue: [(range: Range<Int>, gradient: UnsafeMutablePointer<Float>)] = []
    private var nextBucket = 0
    /// The bucket under way: its segment before each halving, outermost first, and the exchange that is running.
    private var gradient: UnsafeMutablePointer<Float>?
    private var segments: [Range<Int>] = []
    /// With whom the exchange under way is.
    private var partner: Int?
    /// Nothing else is being done meanwhile.
    private var isFinishing = false
    private var phase = Phase.idle
    /// Elements of the running halving that are already added.
    private var addedCount = 0

    private enum Phase {
        case idle
        case halving(Int)
        case gathering(Int)
    }

    /// All ranks of `replicas` make one. Their number must be a power of two. `maxBucketCount`: elements of the largest bucket. `tag`:
    /// of its own among the reducers that are at work at the same time.
    public init(
        replicas: Communicator, maxBucketCount: Int, extent: Extent = .all, cuts: CutPoints = .anywhere, tag: Int = 3, marker: ProgressMarker
    ) {
        precondition(replicas.size.nonzeroBitCount == 1, "reproducible reduction needs a power of two of replicas")
        self.replicas = replicas
        self.extent = extent
        self.cuts = cuts
        self.tag = tag
        self.marker = marker
        self.maxBucketCount = maxBucketCount
        levels = replicas.size.trailingZeroBitCount
        incoming = FloatBuffer(count: levels == 0 ? 0 : cuts.largestHalf(of: maxBucketCount))
        queue.reserveCapacity(64)
        segments.reserveCapacity(levels + 1)
    }

    /// Of the buffer of a reducer made with these arguments.
    public static func byteCount(replicas: Int, maxBucketCount: Int, cuts: CutPoints = .anywhere) -> Int {
        replicas == 1 ? 0 : cuts.largestHalf(of: maxBucketCount) * 4
    }

    /// Dropped in the middle of an exchange only when the job ends with an error, which a trap must not cover up.
    deinit {
        guard sending.isActive || receiving.isActive else { return }
        sending.abandon()
        receiving.abandon()
        incoming.isLeaked = true
    }

    public func start(_ range: Range<Int>, of gradient: UnsafeMutablePointer<Float>) throws {
        precondition(range.count <= maxBucketCount)
        guard levels > 0, !range.isEmpty else { return }
        queue.append((range, gradient))
        try progress()
    }

    /// The part of a bucket that this rank has reduced, when only segments are wanted.
    public func segment(of bucket: Range<Int>) -> Range<Int> {
        ShardPlan.halved(bucket, replica: replicas.rank, replicas: replicas.size, cuts: cuts)
    }

    @discardableResult
    public func progress() throws -> Bool {
        while true {
            switch phase {
            case .idle:
                guard nextBucket < queue.count else {
                    queue.removeAll(keepingCapacity: true)
                    nextBucket = 0
                    return true
                }
                gradient = queue[nextBucket].gradient
                segments.removeAll(keepingCapacity: true)
                segments.append(queue[nextBucket].range)
                nextBucket += 1
                try beginHalving(0)
            case .halving(let level):
                let isComplete = try isExchangeComplete()
                let kept = half(level, of: segments[level], isKept: true)
                addArrived(to: gradient! + kept.lowerBound, count: kept.count)
                guard isComplete else { return false }
                segments.append(kept)
                if level + 1 < levels {
                    try beginHalving(level + 1)
                } else if extent == .all {
                    try beginGathering(levels - 1)
                } else {
                    phase = .idle
                }
            case .gathering(let level):
                guard try isExchangeComplete() else { return false }
                if level > 0 { try beginGathering(level - 1) } else { phase = .idle }
            }
        }
    }

    public func finish() throws {
        isFinishing = true
        defer { isFinishing = false }
        marker.mark("reducing gradients", peer: partner.map { replicas.worldRanks[$0] })
        var pacer = PollPacer()
        while try !progress() { pacer.pause(progress: pieceTotal) }
        marker.touch()
    }

    private var pieceTotal: Int { receiving.pieceTotal &+ sending.pieceTotal }

    /// The half of a segment that this rank keeps at a level, or the one that it gives away. The rank whose bit is 0 keeps the first.
    private func half(_ level: Int, of segment: Range<Int>, isKept: Bool) -> Range<Int> {
        cuts.half(((replicas.rank >> level) & 1 == 0) == isKept, of: segment)
    }

    private func beginHalving(_ level: Int) throws {
        let kept = half(level, of: segments[level], isKept: true)
        let given = half(level, of: segments[level], isKept: false)
        try exchange(level, send: gradient! + given.lowerBound, given.count, receive: incoming.base, kept.count)
        addedCount = 0
        phase = .halving(level)
    }

    /// Adds what has arrived so far of `count` elements, piece by piece, while the rest is on its way.
    private func addArrived(to target: UnsafeMutablePointer<Float>, count: Int) {
        let arrivedCount = receiving.isActive ? min(count, receiving.completedCount * replicas.messagePieceLimit) : count
        guard arrivedCount > addedCount else { return }
        addElements(UnsafePointer(incoming.base) + addedCount, to: target + addedCount, count: arrivedCount - addedCount)
        addedCount = arrivedCount
    }

    private func beginGathering(_ level: Int) throws {
        let kept = half(level, of: segments[level], isKept: true)
        let given = half(level, of: segments[level], isKept: false)
        try exchange(level, send: gradient! + kept.lowerBound, kept.count, receive: gradient! + given.lowerBound, given.count)
        phase = .gathering(level)
    }

    private func exchange(
        _ level: Int, send source: UnsafeMutablePointer<Float>, _ sendCount: Int,
        receive target: UnsafeMutablePointer<Float>, _ receiveCount: Int
    ) throws {
        let partner = replicas.rank ^ (1 << level)
        self.partner = partner
        if isFinishing { marker.mark("reducing gradients", peer: replicas.worldRanks[partner]) }
        try replicas.receive(into: target, count: receiveCount, from: partner, tag: tag, request: receiving)
        try replicas.send(UnsafePointer(source), count: sendCount, to: partner, tag: tag, request: sending)
    }

    private func isExchangeComplete() throws -> Bool {
        let isReceived = try receiving.test()
        let isSent = try sending.test()
        if isReceived && isSent { marker.touch() }
        return isReceived && isSent
    }
}

import LoRAMEngine

/// Where a bucket of a gradient may be cut: at given offsets, or anywhere if there are none.
public struct CutPoints: Sendable, Equatable {
    /// Ascending.
    let offsets: [Int]

    public static let anywhere = CutPoints(offsets: [])

    /// In front of every block of which `GradientNorm` sums the squares, so that one replica has each block whole.
    public init(_ layout: ParameterLayout) {
        offsets = layout.tensors.flatMap { stride(from: $0.offset, to: $0.offset + $0.count, by: GradientNorm.blockCount) }
    }

    private init(offsets: [Int]) { self.offsets = offsets }

    /// The cut of `range` that is nearest to an offset; the ends of the range are cuts too.
    func nearest(to offset: Int, in range: Range<Int>) -> Int {
        guard !offsets.isEmpty else { return offset }
        var low = 0, high = offsets.count
        while low < high {
            let middle = (low + high) / 2
            if offsets[middle] < offset { low = middle + 1 } else { high = middle }
        }
        let above = low < offsets.count ? min(offsets[low], range.upperBound) : range.upperBound
        let below = low > 0 ? max(offsets[low - 1], range.lowerBound) : range.lowerBound
        return offset - below <= above - offset ? below : above
    }

    /// The first or the second half of a range; the first is the smaller one of an odd count.
    func half(_ isFirst: Bool, of range: Range<Int>) -> Range<Int> {
        let middle = nearest(to: range.lowerBound + range.count / 2, in: range)
        return isFirst ? range.lowerBound..<middle : middle..<range.upperBound
    }

    /// Most elements that a half of a bucket of so many has.
    func largestHalf(of count: Int) -> Int {
        let half = (count + 1) / 2
        // A block may be followed by the gap in front of the next tensor.
        return offsets.isEmpty ? half : min(count, half + GradientNorm.blockCount)
    }
}

/// The buckets of a stage's gradient, and which replica's optimizer keeps which part of each (ZeRO-1, Rajbhandari et al., arXiv
/// 1910.02054). The same on all replicas of a stage.
public struct ShardPlan: Sendable, Equatable {
    /// Elements of a bucket: large enough that a message's latency does not count, small enough that several follow one another
    /// while backward goes on (16 MiB).
    public static let defaultBucketCount = 4 << 20

    /// In order, without gaps.
    public let buckets: [Range<Int>]
    public let replicas: Int
    public let mode: ReductionMode
    /// Whether each replica keeps a part; otherwise each keeps everything.
    public let isSharded: Bool
    let cuts: CutPoints

    /// Dense training is sharded. Adapters are small: every replica keeps all of their moments, and saves an all-gather.
    public init(_ layout: ParameterLayout, of training: Training, _ groups: GradientGroups) {
        self = training.isDense
            ? ShardPlan(sharding: layout, replicas: groups.replicas, mode: groups.mode)
            : ShardPlan(count: layout.count, replicas: groups.replicas, mode: groups.mode)
    }

    /// Every replica keeps everything.
    public init(count: Int, replicas: Int, mode: ReductionMode, bucketCount: Int = defaultBucketCount) {
        precondition(bucketCount > 0)
        buckets = stride(from: count, to: 0, by: -bucketCount).reversed().map { max(0, $0 - bucketCount)..<$0 }
        cuts = .anywhere
        isSharded = false
        self.replicas = replicas
        self.mode = mode
    }

    /// Every replica keeps the part of its own of each bucket. The embedding and the head have buckets of their own: where both are
    /// copies of one matrix, a replica has the same elements of both, wherever the copies are.
    public init(sharding layout: ParameterLayout, replicas: Int, mode: ReductionMode, bucketCount: Int = defaultBucketCount) {
        precondition(bucketCount > 0)
        cuts = CutPoints(layout)
        isSharded = true
        self.replicas = replicas
        self.mode = mode
        let ends = [WeightName.embedding, WeightName.lmHead].compactMap { layout.tensor(named: $0) }
        let borders = Set(ends.flatMap { [$0.offset, $0.offset + ($0.count + 15) / 16 * 16] })
        var buckets: [Range<Int>] = [], start = 0
        for (index, cut) in cuts.offsets.enumerated() {
            let end = index + 1 < cuts.offsets.count ? cuts.offsets[index + 1] : layout.count
            guard cut > start, borders.contains(cut) || end - start > bucketCount else { continue }
            buckets.append(start..<cut)
            start = cut
        }
        if start < layout.count { buckets.append(start..<layout.count) }
        self.buckets = buckets
    }

    /// The part of a bucket that a replica keeps.
    public func part(of bucket: Range<Int>, replica: Int) -> Range<Int> {
        guard isSharded else { return bucket }
        switch mode {
        case .reproducible: return Self.halved(bucket, replica: replica, replicas: replicas, cuts: cuts)
        case .fast:
            func border(_ index: Int) -> Int {
                index == replicas ? bucket.upperBound : cuts.nearest(to: bucket.lowerBound + bucket.count * index / replicas, in: bucket)
            }
            return border(replica)..<border(replica + 1)
        }
    }

    /// What recursive halving with distance doubling leaves a rank of: in step j the rank whose bit j is 0 keeps the first half.
    static func halved(_ bucket: Range<Int>, replica: Int, replicas: Int, cuts: CutPoints) -> Range<Int> {
        (0..<replicas.trailingZeroBitCount).reduce(bucket) { cuts.half((replica >> $1) & 1 == 0, of: $0) }
    }

    /// Elements of the largest bucket.
    public var maxBucketCount: Int { buckets.map(\.count).max() ?? 0 }

    /// Elements that the replica with the most of them keeps.
    public var largestShardCount: Int { (0..<replicas).map { parts(replica: $0).reduce(0) { $0 + $1.count } }.max() ?? 0 }

    /// A replica's parts, one a bucket.
    public func parts(replica: Int) -> [Range<Int>] { buckets.map { part(of: $0, replica: replica) } }

    /// Where the values of a range are found: pieces in order, each with its bucket and the replica to ask.
    func owners(of range: Range<Int>) -> [(elements: Range<Int>, bucket: Int, replica: Int)] {
        buckets.enumerated().filter { $0.element.overlaps(range) }.flatMap { index, bucket in
            (0..<(isSharded ? replicas : 1)).map { (part(of: bucket, replica: $0).clamped(to: range), index, $0) }
                .filter { !$0.0.isEmpty }.sorted { $0.0.lowerBound < $1.0.lowerBound }
        }
    }
}

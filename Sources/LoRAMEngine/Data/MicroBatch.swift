/// The samples of one micro-batch, laid one behind the other without padding.
///
/// All per-token work runs over the N = `tokenIDs.count` tokens at once; attention stays within a segment and positions
/// restart at each. A packed sample contributes several segments. Built from (seed, epoch, indices) alone, so every
/// rank of a pipeline builds the same one.
public struct MicroBatch: Sendable, Equatable {
    /// One document: tokens `start ..< start + count` of the micro-batch attend to each other causally.
    public struct Segment: Sendable, Equatable {
        public var start: Int
        public var count: Int
        public init(start: Int, count: Int) {
            self.start = start
            self.count = count
        }
    }

    /// One sample: tokens `start ..< start + count`. `sampleID` is the sample's position in the training order (update, index in
    /// the global batch), which keys its dropout.
    public struct Sample: Sendable, Equatable {
        public var start: Int
        public var count: Int
        public var sampleID: UInt64
        public init(start: Int, count: Int, sampleID: UInt64) {
            self.start = start
            self.count = count
            self.sampleID = sampleID
        }
    }

    /// Label of a position whose prediction carries no loss.
    public static let ignoredLabel: Int32 = -100

    /// [N]
    public var tokenIDs: [Int32]
    /// [N], already shifted: `labels[t]` is the token to be predicted FROM position t (the next one of the same segment), or `ignoredLabel`.
    public var labels: [Int32]
    /// Cover all N tokens in order.
    public var segments: [Segment]
    /// Cover all N tokens in order; each is one or more segments.
    public var samples: [Sample]

    public init(tokenIDs: [Int32], labels: [Int32], segments: [Segment], samples: [Sample]) {
        self.tokenIDs = tokenIDs
        self.labels = labels
        self.segments = segments
        self.samples = samples
    }

    /// N
    public var tokenCount: Int { tokenIDs.count }
    /// Positions that carry loss.
    public var targetCount: Int { labels.lazy.filter { $0 != Self.ignoredLabel }.count }
}

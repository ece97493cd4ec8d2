/// Counts from the indexing pass.
public struct DatasetStatistics: Sendable, Equatable {
    /// Records or documents in the files.
    public var records: Int
    /// Samples, packed ones where packing is on, each counted once.
    public var samples: Int
    /// Records that were longer than the window and are cut.
    public var truncated: Int
    /// Records, or windows, left without a token to predict.
    public var dropped: Int
    /// Tokens of all samples; nil where they were not counted, because nothing but each record's length bound was needed.
    public var tokens: Int?

    public init(records: Int = 0, samples: Int = 0, truncated: Int = 0, dropped: Int = 0, tokens: Int? = 0) {
        self.records = records
        self.samples = samples
        self.truncated = truncated
        self.dropped = dropped
        self.tokens = tokens
    }

    public static func + (a: DatasetStatistics, b: DatasetStatistics) -> DatasetStatistics {
        var tokens: Int?
        if let first = a.tokens, let second = b.tokens { tokens = first + second }
        return DatasetStatistics(
            records: a.records + b.records, samples: a.samples + b.samples, truncated: a.truncated + b.truncated,
            dropped: a.dropped + b.dropped, tokens: tokens)
    }
}

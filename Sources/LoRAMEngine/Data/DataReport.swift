/// What a dataset looks like to the trainer: counts, lengths, and the first samples token by token.
public struct DataReport: Sendable {
    public struct Token: Sendable, Equatable {
        public var id: Int32
        /// Empty for special tokens.
        public var text: String
        public var isLearnt: Bool
    }

    public struct Sample: Sendable, Equatable {
        public var tokens: [Token]
        /// Documents of a packed sample.
        public var segmentCount: Int
    }

    public let path: String
    public let format: DatasetFormat
    public let statistics: DatasetStatistics
    /// Of the samples that were looked at, ascending.
    public let lengths: [Int]
    public let tokenCount: Int
    public let targetCount: Int
    /// Samples in which two BOS stand side by side.
    public let doubledBOSCount: Int
    public let samples: [Sample]

    /// Samples read in one go.
    private static let chunk = 64

    /// - Parameters:
    ///   - configuration: of one source, without shuffling.
    ///   - bosTokenID: where the tokenizer has none, as `eosTokenID`.
    ///   - shown: samples to keep token by token.
    ///   - limit: samples to look at; lengths and token counts are theirs.
    /// - Throws: `DatasetError`
    public init(
        _ configuration: DataConfiguration, tokenizer: (any Tokenizer)?, bosTokenID: Int32? = nil, eosTokenID: Int32? = nil, shown: Int, limit: Int
    ) throws {
        // Token ids need no tokenizer; any id is then in range.
        let vocabularySize = tokenizer?.vocabularySize ?? 1 << 24
        let data = try TrainingData(
            configuration: configuration, tokenizer: tokenizer, vocabularySize: vocabularySize, bosTokenID: tokenizer?.bosTokenID ?? bosTokenID,
            eosTokenID: tokenizer?.eosTokenID ?? eosTokenID, seed: 0)
        var lengths: [Int] = [], samples: [Sample] = []
        var targetCount = 0, doubled = 0
        let count = min(limit, data.statistics.samples)
        var batch = MicroBatch.empty
        for index in 0..<(count + Self.chunk - 1) / Self.chunk {
            try data.fill(&batch, update: 1, microBatchIndex: index, microBatchSize: Self.chunk, globalBatchSize: count)
            targetCount += batch.targetCount
            for sample in batch.samples {
                let range = sample.start..<sample.start + sample.count
                lengths.append(sample.count)
                let ids = batch.tokenIDs[range]
                if let bos = tokenizer?.bosTokenID, zip(ids, ids.dropFirst()).contains(where: { $0 == bos && $1 == bos }) { doubled += 1 }
                if samples.count < shown { samples.append(Self.sample(batch, range, tokenizer)) }
            }
        }
        path = configuration.sources[0].path
        format = data.formats[0]
        statistics = data.statistics
        self.lengths = lengths.sorted()
        tokenCount = lengths.reduce(0, +)
        self.targetCount = targetCount
        doubledBOSCount = doubled
        self.samples = samples
    }

    private static func sample(_ batch: MicroBatch, _ range: Range<Int>, _ tokenizer: (any Tokenizer)?) -> Sample {
        let segments = batch.segments.filter { range.contains($0.start) }
        let starts = Set(segments.map(\.start))
        let tokens = range.map { position in
            // A label stands where it is predicted from: one before, within the document.
            let isLearnt = !starts.contains(position) && batch.labels[position - 1] != MicroBatch.ignoredLabel
            return Token(id: batch.tokenIDs[position], text: tokenizer?.decode([batch.tokenIDs[position]]) ?? "", isLearnt: isLearnt)
        }
        return Sample(tokens: tokens, segmentCount: segments.count)
    }

    /// The length that a share of the samples does not exceed.
    public func length(quantile: Double) -> Int {
        lengths.isEmpty ? 0 : lengths[min(Int(quantile * Double(lengths.count)), lengths.count - 1)]
    }

    public var json: JSONValue {
        [
            "path": .string(path), "format": .string(format.rawValue), "records": .integer(statistics.records), "samples": .integer(statistics.samples),
            "truncated": .integer(statistics.truncated), "dropped": .integer(statistics.dropped), "examined": .integer(lengths.count),
            "tokens": .integer(tokenCount), "targets": .integer(targetCount), "doubled_bos": .integer(doubledBOSCount),
            "lengths": [
                "min": .integer(lengths.first ?? 0), "p50": .integer(length(quantile: 0.5)), "p90": .integer(length(quantile: 0.9)),
                "p99": .integer(length(quantile: 0.99)), "max": .integer(lengths.last ?? 0),
            ],
        ]
    }

    /// - Parameter colored: learnt tokens in green; otherwise between brackets.
    public func text(colored: Bool) -> String {
        let quantiles = [0.5, 0.9, 0.99].map { "\(Formatting.grouped(length(quantile: $0)))" }
        var lines = [
            "\(path.singleLine): format \(format.rawValue), \(Formatting.grouped(statistics.records)) records, \(Formatting.grouped(statistics.samples)) samples",
            "cut at the window \(Formatting.grouped(statistics.truncated)), dropped \(Formatting.grouped(statistics.dropped)), doubled BOS \(Formatting.grouped(doubledBOSCount))",
            "of \(Formatting.grouped(lengths.count)) samples: \(Formatting.grouped(tokenCount)) tokens, \(Formatting.grouped(targetCount)) learnt",
            "tokens a sample: least \(lengths.first ?? 0), half \(quantiles[0]), 90% \(quantiles[1]), 99% \(quantiles[2]), most \(lengths.last ?? 0)",
        ]
        for (index, sample) in samples.enumerated() {
            let learnt = sample.tokens.count { $0.isLearnt }
            lines.append("")
            lines.append("sample \(index + 1): \(sample.tokens.count) tokens, \(learnt) learnt, \(sample.segmentCount) \(sample.segmentCount == 1 ? "document" : "documents")")
            lines.append(Self.line(sample.tokens, colored))
        }
        return lines.joined(separator: "\n")
    }

    private static func line(_ tokens: [Token], _ colored: Bool) -> String {
        var line = ""
        var isLearnt = false
        for token in tokens {
            if token.isLearnt != isLearnt {
                line += colored ? (token.isLearnt ? "\u{1b}[32m" : "\u{1b}[0m") : (token.isLearnt ? "[[" : "]]")
                isLearnt = token.isLearnt
            }
            line += (token.text.isEmpty ? "<\(token.id)>" : token.text.singleLine) + "·"
        }
        return line + (isLearnt ? (colored ? "\u{1b}[0m" : "]]") : "")
    }
}

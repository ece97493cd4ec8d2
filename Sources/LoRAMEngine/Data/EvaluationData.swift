/// The documents of a dataset as windows to be scored, in the file's order.
///
/// Each document is cut into disjoint windows, each with BOS in front, so that every token is scored once; none gets an EOS. Of
/// instruction records only the answer is scored if so asked. `input_ids` records are used as they are, one window each.
public final class EvaluationData: Sendable {
    public struct Configuration: Sendable, Equatable {
        public var path: String
        /// nil: found out.
        public var format: DatasetFormat?
        public var template: PromptTemplate
        public var answersOnly: Bool
        /// Tokens of a window at most, BOS included; at least 2.
        public var length: Int
        /// Without, nothing predicts the first token of a window, and it is not scored.
        public var addsBOS: Bool
        /// Only the records that are kept from training with this split.
        public var split: ValidationSplit?

        public init(
            path: String, format: DatasetFormat? = nil, template: PromptTemplate = .alpaca, answersOnly: Bool = true, length: Int = 512,
            addsBOS: Bool = true
        ) {
            self.path = path
            self.format = format
            self.template = template
            self.answersOnly = answersOnly
            self.length = length
            self.addsBOS = addsBOS
        }
    }

    public let configuration: Configuration
    public let format: DatasetFormat
    /// `samples` counts windows; `tokens` those read from the file, scored or not, without BOS.
    public let statistics: DatasetStatistics

    private let items: any ItemSource
    private let plan: SamplePlan
    private let prefix: Int32?

    /// Opens and indexes the dataset.
    ///
    /// - Parameters:
    ///   - tokenizer: may be nil for `input_ids`.
    ///   - vocabularySize: the model's; every token lies below it.
    ///   - bosTokenID: nil if the vocabulary has none; then none is added.
    /// - Throws: `DatasetError`
    public init(
        configuration: Configuration, tokenizer: (any Tokenizer)?, vocabularySize: Int, bosTokenID: Int32?
    ) throws {
        try DatasetError.checkWindow(configuration.length)
        let bos = configuration.addsBOS ? bosTokenID : nil
        let frame = SequenceFrame(bos: bos, eos: nil, addsBOS: false, addsEOS: false)
        try DatasetError.checkFrame(frame, vocabularySize: vocabularySize)
        var (items, format) = try ItemSourceFactory.open(
            path: configuration.path, format: configuration.format,
            ItemSourceFactory.Options(
                template: configuration.template, answersOnly: configuration.answersOnly, length: configuration.length,
                frame: frame, tokenizer: tokenizer, vocabularySize: vocabularySize, packing: true))
        if let split = configuration.split { items = try SubsetItems(items, split, .validation) }
        self.configuration = configuration
        self.format = format
        self.items = items
        if format == .inputIDs {
            prefix = nil
            plan = try .items(items, length: configuration.length)
        } else {
            prefix = bos
            let unscored = bos == nil ? 1 : 0
            plan = try .windows(items, length: configuration.length - 1 + unscored) { summary, range in
                guard let firstTarget = summary.firstTarget else { return false }
                return max(range.lowerBound + unscored, firstTarget) < range.upperBound
            }
        }
        statistics = plan.statistics
        guard plan.sampleCount > 0 else {
            throw DatasetError.noSamples(path: configuration.path, recordCount: items.itemCount, length: configuration.length)
        }
    }

    public var windowCount: Int { plan.sampleCount }

    public func microBatchCount(size: Int) -> Int { (windowCount + size - 1) / size }

    /// Windows index * size and following, at most `size` of them. Each is a sample whose `sampleID` is its number.
    ///
    /// - Throws: `DatasetError` if the file was changed since it was indexed.
    public func microBatch(_ index: Int, size: Int) throws -> MicroBatch {
        precondition(size >= 1 && index >= 0 && index < microBatchCount(size: size))
        var batch = MicroBatch.empty
        var sequence = TokenSequence()
        for window in index * size..<min((index + 1) * size, windowCount) {
            batch.beginSample(id: UInt64(window))
            try plan.forEachPiece(of: window) { piece in
                try items.load(piece.item, range: piece.range, into: &sequence)
                batch.appendSegment(sequence, prefix: prefix)
            }
        }
        return batch
    }
}

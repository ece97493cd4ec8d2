/// The training samples of a run, in an order that depends on the configuration and the seed alone.
///
/// Positions count samples from the start of training and never end: an epoch's worth after another. What is at a position is a
/// pure function of it, so a run resumes from its update counter alone, on any grid, and every rank that asks for a micro-batch
/// gets the same one. Only an index of lengths and offsets is in memory; texts stay in the mapped files and are encoded when a
/// micro-batch is built.
///
/// - An epoch interleaves the sources in proportion to their weights until each has been drawn from as often as it has samples;
///   shorter ones start over (see `SourceMixer`). With one source that is each sample once.
/// - With `shuffle`, each pass over a source has an order of its own, from (seed, epoch, source, pass).
public final class TrainingData: Sendable {
    public let configuration: DataConfiguration
    /// Of each source, in the order of the configuration.
    public let sourceStatistics: [DatasetStatistics]
    /// The format of each source, found out or given.
    public let formats: [DatasetFormat]

    private struct Source: Sendable {
        var items: any ItemSource
        var plan: SamplePlan
    }

    private let sources: [Source]
    private let mixer: SourceMixer
    private let seed: UInt64

    /// Opens and indexes all sources: one pass over each file, in which every JSON record is checked.
    ///
    /// - Parameters:
    ///   - tokenizer: may be nil if all sources are `input_ids`.
    ///   - vocabularySize: the model's; every token lies below it.
    ///   - bosTokenID: goes before each text; nil for none.
    ///   - eosTokenID: goes behind each text; nil for none.
    /// - Throws: `DatasetError`
    public init(
        configuration: DataConfiguration, tokenizer: (any Tokenizer)?, vocabularySize: Int, bosTokenID: Int32?, eosTokenID: Int32?,
        seed: UInt64
    ) throws {
        try configuration.check()
        let frame = SequenceFrame(bos: bosTokenID, eos: eosTokenID, addsBOS: true, addsEOS: true)
        try DatasetError.checkFrame(frame, vocabularySize: vocabularySize)
        var sources: [Source] = []
        var formats: [DatasetFormat] = []
        for source in configuration.sources {
            var (items, format) = try Self.open(
                source,
                ItemSourceFactory.Options(
                    template: configuration.template, answersOnly: configuration.answersOnly, length: configuration.length,
                    frame: frame, tokenizer: tokenizer, vocabularySize: vocabularySize, packing: configuration.packing))
            if let split = configuration.validation { items = try SubsetItems(items, split, .training) }
            let plan = try Self.plan(items, format, configuration)
            guard plan.sampleCount > 0 else {
                throw DatasetError.noSamples(path: source.path, recordCount: items.itemCount, length: configuration.length)
            }
            sources.append(Source(items: items, plan: plan))
            formats.append(format)
        }
        self.configuration = configuration
        self.sources = sources
        self.formats = formats
        self.seed = seed
        sourceStatistics = sources.map(\.plan.statistics)
        mixer = SourceMixer(sampleCounts: sources.map(\.plan.sampleCount), weights: configuration.sources.map(\.weight))
    }

    private static func open(
        _ source: DataConfiguration.Source, _ options: ItemSourceFactory.Options
    ) throws -> (source: any ItemSource, format: DatasetFormat) {
        guard let parts = source.cachedParts, let format = source.format else {
            return try ItemSourceFactory.open(path: source.path, format: source.format, options)
        }
        let asDocuments = format == .plain || (format == .text && options.packing)
        return (try CachedItems(path: source.path, parts: parts, asDocuments: asDocuments), format)
    }

    private static func plan(_ items: any ItemSource, _ format: DatasetFormat, _ configuration: DataConfiguration) throws -> SamplePlan {
        let length = configuration.length
        if let starts = items.documentStarts {
            if configuration.packing { return .stream(tokenStarts: starts, length: length) }
            return try .windows(items, length: length) { _, range in range.count > 1 }
        }
        return configuration.packing ? try .bins(items, length: length) : try .items(items, length: length)
    }

    /// Counts of all sources together.
    public var statistics: DatasetStatistics {
        sourceStatistics.reduce(DatasetStatistics(), +)
    }

    /// Samples until every source has been seen whole.
    public var samplesPerEpoch: Int { mixer.epochCount }

    /// A micro-batch of an update.
    ///
    /// Sample i (from 0) of update s (from 1) is position (s - 1) * globalBatchSize + i, which is also its `sampleID`. The micro-batch
    /// holds the samples from microBatchIndex * microBatchSize on, and fewer than microBatchSize where the update ends.
    ///
    /// - Throws: `DatasetError` if the file was changed since it was indexed.
    public func microBatch(update: Int, microBatchIndex: Int, microBatchSize: Int, globalBatchSize: Int) throws -> MicroBatch {
        var batch = MicroBatch.empty
        try fill(
            &batch, update: update, microBatchIndex: microBatchIndex, microBatchSize: microBatchSize,
            globalBatchSize: globalBatchSize)
        return batch
    }

    /// Like `microBatch`, in the memory of an earlier one.
    public func fill(
        _ batch: inout MicroBatch, update: Int, microBatchIndex: Int, microBatchSize: Int, globalBatchSize: Int
    ) throws {
        precondition(update >= 1 && microBatchIndex >= 0 && microBatchSize >= 1 && globalBatchSize >= 1)
        let first = microBatchIndex * microBatchSize
        precondition(first < globalBatchSize, "the update has no micro-batch \(microBatchIndex)")
        let start = UInt64(update - 1) * UInt64(globalBatchSize)
        batch.removeAll()
        var sequence = TokenSequence()
        for index in first..<min(first + microBatchSize, globalBatchSize) {
            try append(position: start + UInt64(index), to: &batch, &sequence)
        }
    }

    private func append(position: UInt64, to batch: inout MicroBatch, _ sequence: inout TokenSequence) throws {
        let (epoch, place) = position.quotientAndRemainder(dividingBy: UInt64(mixer.epochCount))
        let draw = mixer.draw(Int(place))
        let source = sources[draw.source]
        let (pass, index) = draw.index.quotientAndRemainder(dividingBy: source.plan.sampleCount)
        var sample = index
        if configuration.shuffle {
            let key = IndexPermutation.key(seed: seed, epoch, UInt64(draw.source), UInt64(pass))
            sample = IndexPermutation(count: source.plan.sampleCount, key: key)[index]
        }
        batch.beginSample(id: position)
        try source.plan.forEachPiece(of: sample) { piece in
            try source.items.load(piece.item, range: piece.range, into: &sequence)
            batch.appendSegment(sequence)
        }
    }
}

/// The sequences from which importances and second moments come.
///
/// Texts (`text`, `plain`) are laid one behind the other, with BOS and EOS as in training, and cut into sequences of exactly `length` tokens, of
/// which the seed chooses; documents do not see one another. Instructions are taken whole, several to a sequence. `input_ids` records are used as
/// they are, the first ones in the file's order. Every token but a document's first is predicted: labels = inputs.
public struct CalibrationData: Sendable {
    /// One a sequence.
    public let sequences: [MicroBatch]

    public var targetCount: Int { sequences.reduce(0) { $0 + $1.targetCount } }
    /// Tokens of the longest.
    public var longest: Int { sequences.map(\.tokenCount).max() ?? 0 }

    public init(sequences: [MicroBatch]) {
        self.sequences = sequences
    }

    /// - Parameters:
    ///   - tokenizer: may be nil for `input_ids`.
    /// - Throws: `PruningError.needsCalibration`, `.calibrationTooShort`, `.calibrationBeyondPositions`; `DatasetError`.
    public init(_ pruning: PruningRecipe, config: LlamaConfig, tokenizer: (any Tokenizer)?, seed: UInt64) throws {
        guard let path = pruning.calibration.path else { throw PruningError.needsCalibration(method: pruning.method.rawValue) }
        let count = pruning.calibrationSampleCount, length = pruning.calibrationLength
        guard length <= config.maxPositionCount else {
            throw PruningError.calibrationBeyondPositions(length: length, positions: config.maxPositionCount)
        }
        let bos = tokenizer?.bosTokenID ?? config.bosTokenID.map { Int32($0) }
        let eos = tokenizer?.eosTokenID ?? config.eosTokenIDs.first.map { Int32($0) }
        func open(shuffle: Bool, format: DatasetFormat?) throws -> TrainingData {
            try TrainingData(
                configuration: DataConfiguration(
                    sources: [.init(path: path, format: format)], length: length, packing: true, shuffle: shuffle, answersOnly: false),
                tokenizer: tokenizer, vocabularySize: config.vocabularySize, bosTokenID: bos, eosTokenID: eos, seed: seed)
        }
        var data = try open(shuffle: true, format: nil)
        let format = data.formats[0]
        if format == .inputIDs { data = try open(shuffle: false, format: format) }
        let exact = format == .text || format == .plain
        var sequences: [MicroBatch] = []
        for sample in 0..<data.samplesPerEpoch where sequences.count < count {
            let sequence = try data.microBatch(update: sample + 1, microBatchIndex: 0, microBatchSize: 1, globalBatchSize: 1)
            if sequence.targetCount > 0, !exact || sequence.tokenCount == length { sequences.append(sequence) }
        }
        guard sequences.count == count else {
            throw PruningError.calibrationTooShort(path: path, expected: count, length: length, found: sequences.count)
        }
        self.sequences = sequences
    }
}

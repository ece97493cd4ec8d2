/// Scores of a decoder layer's key-value heads and MLP channels.
public struct LayerImportance: Sendable, Equatable {
    public var heads: [Double]
    public var channels: [Double]

    public init(heads: [Double], channels: [Double]) {
        self.heads = heads
        self.channels = channels
    }

    /// What a layer's scores are made from.
    public struct Settings: Sendable, Equatable {
        public var importance: PruningRecipe.Importance
        public var aggregation: PruningRecipe.Aggregation
        public var grouping: PruningRecipe.Grouping

        public init(_ pruning: PruningRecipe) {
            (importance, aggregation, grouping) = (pruning.importance, pruning.aggregation, pruning.grouping)
        }

        /// Whether gradients of single samples are squared and summed.
        public var needsSquares: Bool { importance == .paramSecond || importance == .paramMix }
    }

    /// From a stage of this one layer, whose linear weights are trained tensors.
    ///
    /// - Parameters:
    ///   - layer: number in the model.
    ///   - gradients: of the loss summed over all samples, laid out as the stage's parameters.
    ///   - squares: per-sample squares (of the samples' mean losses), summed; laid out likewise.
    ///   - targetCount: target tokens of all samples.
    /// - Throws: `PruningError.nonFiniteImportance`.
    public init(
        _ settings: Settings, stage: ModelStage, layer: Int, gradients: UnsafePointer<Float>, squares: UnsafePointer<Float>?, targetCount: Int,
        sampleCount: Int
    ) throws {
        func salience(_ site: LinearSite, byRow: Bool) -> [Double] {
            let tensor = stage.layout.tensor(named: "\(site.modulePath(layer: layer)).weight")!
            let matrix = ChannelSalience.Gradients(
                w_OI: UnsafePointer(stage.parameters + tensor.offset), g_OI: gradients + tensor.offset, gScale: 1 / Double(max(targetCount, 1)),
                squares_OI: squares.map { $0 + tensor.offset }, squareScale: 1 / Double(sampleCount), rows: tensor.shape[0], columns: tensor.shape[1])
            return byRow ? ChannelSalience.rows(settings.importance, matrix, stage.threadPool)
                : ChannelSalience.columns(settings.importance, matrix, stage.threadPool)
        }
        let geometry = stage.config.layers[layer], headDim = stage.config.headDim
        func fold(_ values: [Double]) -> [Double] {
            Self.fold(values, keyValueHeads: geometry.keyValueHeadCount, headDim: headDim, grouping: settings.grouping)
        }
        let perChannel = Self.combine(
            [fold(salience(.q, byRow: true)), salience(.k, byRow: true), salience(.v, byRow: true), fold(salience(.o, byRow: false))],
            settings.aggregation)
        heads = (0..<geometry.keyValueHeadCount).map { head in perChannel[head * headDim..<(head + 1) * headDim].reduce(0, +) }
        channels = Self.combine([salience(.gate, byRow: true), salience(.up, byRow: true), salience(.down, byRow: false)], settings.aggregation)
        guard (heads + channels).allSatisfy(\.isFinite) else { throw PruningError.nonFiniteImportance(layer: layer) }
    }

    /// Adds the channels of query heads that share a key-value head: head h belongs to h / group, or by LLM-Pruner to h mod key-value heads.
    static func fold(_ values: [Double], keyValueHeads: Int, headDim: Int, grouping: PruningRecipe.Grouping) -> [Double] {
        let heads = values.count / headDim, group = heads / keyValueHeads
        var result = [Double](repeating: 0, count: keyValueHeads * headDim)
        for head in 0..<heads {
            let target = grouping == .correct ? head / group : head % keyValueHeads
            for channel in 0..<headDim { result[target * headDim + channel] += values[head * headDim + channel] }
        }
        return result
    }

    /// One number a channel from those of several matrices.
    static func combine(_ vectors: [[Double]], _ aggregation: PruningRecipe.Aggregation) -> [Double] {
        vectors[0].indices.map { index in
            let values = vectors.map { $0[index] }
            return switch aggregation {
            case .sum: values.reduce(0, +)
            case .mean: values.reduce(0, +) / Double(values.count)
            case .max: values.max()!
            case .prod: values.reduce(1, *)
            }
        }
    }
}

extension LayerImportance {
    /// Heads, then channels.
    public var values: [Double] { heads + channels }

    public init(values: ArraySlice<Double>, headCount: Int) {
        self.init(heads: Array(values.prefix(headCount)), channels: Array(values.dropFirst(headCount)))
    }
}

extension LayerImportance {
    public static let fileName = "pruning_scores.safetensors"

    /// Writes scores as F64 tensors `layers.N.heads` and `layers.N.channels`.
    ///
    /// - Throws: `SafetensorsError`, `FileError`.
    public static func write(_ scores: [LayerImportance], firstLayer: Int, to path: String) throws {
        let parts = scores.enumerated().flatMap { index, score in
            [("layers.\(firstLayer + index).heads", score.heads), ("layers.\(firstLayer + index).channels", score.channels)]
        }
        let writer = try SafetensorsWriter(path: path, tensors: parts.map { TensorInfo(name: $0.0, dtype: .f64, shape: [$0.1.count]) })
        for (name, values) in parts { try values.withUnsafeBytes { try writer.append($0, to: name) } }
        try writer.finish()
    }
}

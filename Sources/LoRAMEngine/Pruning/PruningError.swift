/// Why a model cannot be pruned as asked, or a plan cannot be used.
public enum PruningError: DiagnosedError, Equatable {
    case ratioOutOfRange(Double)
    /// `keep_first` and `keep_last` leave nothing to prune.
    case keepsEveryLayer(keepFirst: Int, keepLast: Int, layerCount: Int)
    /// The ratio leaves a layer without heads or channels. `part` is "key-value head" or "MLP channel".
    case nothingLeft(part: String, count: Int, ratio: Double)
    /// The source was pruned before.
    case notUniform
    /// pruning_plan.json is not what it should be.
    case badPlan(path: String, item: String, expected: String, found: String)
    /// The plan was made for a model with another config.
    case otherModel(path: String, expected: String, found: String)
    /// The checkpoint beside the plan has other shapes than the plan gives.
    case otherGeometry(path: String, layer: Int, expected: LayerGeometry, found: LayerGeometry)
    case nonFinite(path: String, tensor: String)
    /// The method looks at texts, and none were named.
    case needsCalibration(method: String)
    /// `found`: whole sequences that the file gives.
    case calibrationTooShort(path: String, expected: Int, length: Int, found: Int)
    case calibrationBeyondPositions(length: Int, positions: Int)
    case nonFiniteImportance(layer: Int)
    /// The inputs of a linear layer were not finite, so that their second moments have no inverse.
    case badMoments(layer: Int, site: LinearSite)
    /// `lora.mask` asks for masks where there are none.
    case noMasks(model: String, mask: String)

    public var description: String {
        switch self {
        case .ratioOutOfRange(let ratio):
            return "pruning: expected a ratio of at least 0 and less than 1, found \(ratio)"
        case .keepsEveryLayer(let first, let last, let count):
            return "pruning: expected keep-first + keep-last to be less than the model's \(count) layers, found \(first) + \(last);"
                + " choose smaller ones with --keep-first and --keep-last"
        case .nothingLeft(let part, let count, let ratio):
            return "pruning: expected a ratio that leaves at least one \(part) of \(count), found \(ratio); choose a smaller one"
        case .notUniform:
            return "pruning: expected a whole model, found one whose layers differ already; prune the original"
        case .badPlan(let path, let item, let expected, let found):
            return "\(path): \(item): expected \(expected), found \(found)"
        case .otherModel(let path, let expected, let found):
            return "\(path): expected a plan for this model (config \(expected.prefix(16))...), found one for another (\(found.prefix(16))...)"
        case .otherGeometry(let path, let layer, let expected, let found):
            return "\(path): layer \(layer): expected the plan's \(Self.text(expected)), found \(Self.text(found)); plan and checkpoint do not belong together"
        case .nonFinite(let path, let tensor):
            return "\(path): tensor \(tensor): expected finite values, found NaN or infinity; the weights are broken"
        case .needsCalibration(let method):
            return "pruning.calibration.path: expected texts for the method \(method), found none; name a dataset with --calibration FILE"
        case .calibrationTooShort(let path, let expected, let length, let found):
            return "\(path): expected \(expected) calibration sequences of \(length) tokens, found \(found);"
                + " give more text, or lower --samples or --length"
        case .calibrationBeyondPositions(let length, let positions):
            return "pruning.calibration.length: expected at most the model's \(positions) positions (max_position_embeddings), found \(length);"
                + " lower it with --length"
        case .nonFiniteImportance(let layer):
            return "pruning: layer \(layer): expected finite importances, found NaN or infinity; the weights or the calibration texts are broken"
        case .badMoments(let layer, let site):
            return "pruning: layer \(layer), \(site.rawValue): expected finite inputs with a positive definite second moment, found others;"
                + " give more or other calibration texts"
        case .noMasks(let model, let mask):
            return "lora.mask \(mask): expected a model pruned by semi or unst, with \(PruningMasks.fileName), found none beside \(model)"
        }
    }

    private static func text(_ geometry: LayerGeometry) -> String {
        "\(geometry.headCount) heads, \(geometry.keyValueHeadCount) key-value heads, \(geometry.intermediateSize) channels"
    }
}

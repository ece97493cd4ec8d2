/// The masks of a non-structurally pruned model: `pruning_masks.safetensors` beside its weights.
///
/// For every linear layer of the pruned decoder layers a U8 tensor under the weight's own name, [out, (in + 7) / 8], bits as in `MaskBits`. The metadata say
/// what was done: `method`, `score`, `ratio` or `pattern`, and `source_config_sha256`, which keeps masks from being used with another model.
public final class PruningMasks: Sendable {
    public static let fileName = "pruning_masks.safetensors"
    static let formatVersion = "1"

    /// How the masks came to be.
    public struct Label: Sendable, Equatable {
        /// `semi` or `unst`.
        public var method: String
        public var score: WeightScore
        public var sparsity: Sparsity
        /// `LlamaConfig.identityHash`; pruning does not change it.
        public var sourceConfigHash: String

        public init(method: String, score: WeightScore, sparsity: Sparsity, sourceConfigHash: String) {
            self.method = method
            self.score = score
            self.sparsity = sparsity
            self.sourceConfigHash = sourceConfigHash
        }

        package var metadata: [(key: String, value: String)] {
            let share =
                switch sparsity {
                case .ratio(let ratio): (key: "ratio", value: "\(ratio)")
                case .pattern(let zeros, let of): (key: "pattern", value: "\(zeros):\(of)")
                }
            return [
                ("format", "pt"), ("loram_masks", formatVersion), ("method", method), ("score", score.rawValue), share,
                ("source_config_sha256", sourceConfigHash),
            ]
        }
    }

    public let path: String
    public let label: Label
    private let file: SafetensorsFile

    /// Opens the masks beside a checkpoint or an adapter; nil where there are none.
    ///
    /// - Throws: as `init`.
    public static func beside(_ directory: String, of config: LlamaConfig) throws -> PruningMasks? {
        let path = "\(directory)/\(fileName)"
        return FilePath.exists(path) ? try PruningMasks(path: path, config: config) : nil
    }

    /// Opens a file of masks and checks every tensor against the model.
    ///
    /// - Throws: `PruningError.badPlan` for another format or shape and for bits behind the last column, `.otherModel`, `SafetensorsError`, `FileError`.
    public init(path: String, config: LlamaConfig) throws {
        self.path = path
        file = try SafetensorsFile(path: path)
        label = try Self.readLabel(file)
        guard label.sourceConfigHash == config.identityHash else {
            throw PruningError.otherModel(path: path, expected: config.identityHash, found: label.sourceConfigHash)
        }
        var shapes: [String: [Int]] = [:], columns: [String: Int] = [:]
        for layer in 0..<config.layerCount {
            for site in LinearSite.inLayer {
                let shape = site.shape(in: config, layer: layer)
                shapes[Self.name(site, layer: layer)] = [shape.out, MaskBits.stride(shape.in)]
                columns[Self.name(site, layer: layer)] = shape.in
            }
        }
        for tensor in file.tensors {
            guard let shape = shapes[tensor.name], tensor.dtype == .u8, tensor.shape == shape else {
                throw PruningError.badPlan(
                    path: path, item: "mask \(tensor.name.prefix(120))", expected: shapes[tensor.name].map { "U8 of shape \($0)" } ?? "a linear layer's name",
                    found: "\(tensor.dtype.rawValue) of shape \(tensor.shape)")
            }
            if let columns = columns[tensor.name] { try Self.requireNoPadding(file.tensor(tensor.name), columns: columns) }
        }
    }

    /// That no bit behind the last column is set: it would count as a weight that is kept. Reads nothing where widths are multiples of 8.
    private static func requireNoPadding(_ mask: TensorView, columns: Int) throws {
        guard columns % 8 != 0 else { return }
        let stride = MaskBits.stride(columns)
        let row = mask.withBytes { bytes in (0..<mask.shape[0]).first { bytes[$0 * stride + stride - 1] >> UInt8(columns % 8) != 0 } }
        if let row {
            throw PruningError.badPlan(
                path: mask.origin, item: "mask \(mask.name.prefix(120))", expected: "zero bits behind column \(columns - 1)", found: "others in row \(row)")
        }
    }

    private static func readLabel(_ file: SafetensorsFile) throws -> Label {
        func value(_ key: String) -> String? { file.metadata.first { $0.key == key }?.value }
        func bad(_ key: String, _ expected: String) -> PruningError {
            .badPlan(path: file.path, item: "metadata \(key)", expected: expected, found: value(key).map { $0.prefix(80).debugDescription } ?? "nothing")
        }
        guard value("loram_masks") == formatVersion else { throw bad("loram_masks", formatVersion) }
        guard let method = value("method"), PruningRecipe.Method(rawValue: method)?.isStructured == false else { throw bad("method", "semi or unst") }
        guard let score = value("score").flatMap(WeightScore.init(rawValue:)) else { throw bad("score", "sparsegpt, magnitude or wanda") }
        let sparsity: Sparsity
        if let pattern = value("pattern") {
            guard let (zeros, of) = PruningRecipe.parsePattern(pattern) else { throw bad("pattern", "n:m") }
            sparsity = .pattern(zeros: zeros, of: of)
        } else {
            guard let ratio = value("ratio").flatMap(Double.init), (0..<1).contains(ratio) else { throw bad("ratio", "a number of at least 0 and less than 1") }
            sparsity = .ratio(ratio)
        }
        guard let hash = value("source_config_sha256"), ContentHash.isSHA256(hash) else { throw bad("source_config_sha256", "64 hexadecimal digits") }
        return Label(method: method, score: score, sparsity: sparsity, sourceConfigHash: hash)
    }

    static func name(_ site: LinearSite, layer: Int) -> String { "\(site.modulePath(layer: layer)).weight" }

    /// Packed bits of one linear layer where they lie in the file; nil where all of it was kept.
    ///
    /// - Throws: errors of the file.
    public func mask(_ site: LinearSite, layer: Int) throws -> TensorView? { try mask(named: Self.name(site, layer: layer)) }

    /// The same by the weight's name.
    func mask(named name: String) throws -> TensorView? {
        file.contains(name) ? try file.tensor(name) : nil
    }

    /// Zeroes the weights of `rows` that are not kept. `values` holds those rows.
    public func apply(_ site: LinearSite, layer: Int, columns: Int, rows: Range<Int>, to values: UnsafeMutablePointer<Float>) throws {
        guard let mask = try mask(site, layer: layer) else { return }
        mask.withBytes { bits in
            Self.multiply(values, bits.baseAddress!.assumingMemoryBound(to: UInt8.self) + rows.lowerBound * MaskBits.stride(columns), rows: rows.count, columns: columns)
        }
    }

    /// values [rows, columns] become 0 where the bit is not set.
    package static func multiply(_ values: UnsafeMutablePointer<Float>, _ bits: UnsafePointer<UInt8>, rows: Int, columns: Int) {
        let stride = MaskBits.stride(columns)
        for row in 0..<rows {
            let w = values + row &* columns, b = bits + row &* stride
            var column = 0
            while column < columns {
                // All ones where kept, so that a NaN elsewhere cannot survive.
                let kept = UInt32(bitPattern: -Int32(b[column &>> 3] &>> UInt8(truncatingIfNeeded: column & 7) & 1))
                w[column] = Float(bitPattern: w[column].bitPattern & kept)
                column &+= 1
            }
        }
    }

    /// Weights of these masks that are zero.
    public func prunedCount(_ config: LlamaConfig) throws -> Int {
        var count = 0
        for layer in 0..<config.layerCount {
            for site in LinearSite.inLayer {
                guard let mask = try mask(site, layer: layer) else { continue }
                let shape = site.shape(in: config, layer: layer)
                count += shape.out * shape.in - mask.withBytes { $0.reduce(0) { $0 + $1.nonzeroBitCount } }
            }
        }
        return count
    }
}

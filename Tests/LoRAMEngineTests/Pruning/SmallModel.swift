import LoRAMEngine

/// Small whole models for pruning tests.
enum SmallModel {
    /// 7 layers, 4 kv heads of width 6 with 2 query heads each, 37 channels.
    static func config(tied: Bool = false, dtype: DType = .bf16, theta: Double = 10000) -> LlamaConfig {
        let geometry = LayerGeometry(headCount: 8, keyValueHeadCount: 4, intermediateSize: 37)
        return LlamaConfig(
            hiddenSize: 32, vocabularySize: 23, headDim: 6, maxPositionCount: 64, layers: Array(repeating: geometry, count: 7),
            rmsNormEpsilon: 1e-5, rope: RoPEConfig(theta: theta), tiesWordEmbeddings: tied, dtype: dtype)
    }

    static func plan(_ config: LlamaConfig = config(), ratio: Double = 0.6, seed: UInt64 = 7) throws -> PruningPlan {
        try RandomPruning.plan(config: config, ratio: ratio, keepFirst: 1, keepLast: 2, seed: seed)
    }

    /// Writes the model with random weights as a checkpoint; `spoil` may change a tensor's values.
    static func write(
        _ config: LlamaConfig, to path: String, maxShardByteCount: Int = 1 << 30, spoil: (String, inout [Float]) -> Void = { _, _ in }
    ) throws {
        let weights = SyntheticWeights(config: config, seed: 3)
        let names = WeightLayout.names(config)
        let writer = try CheckpointWriter(
            path: path, tensors: names.map { TensorInfo(name: $0.name, dtype: config.dtype, shape: $0.shape) }, configuration: config.configJSON(),
            maxShardByteCount: maxShardByteCount)
        for (name, shape) in names {
            var values = [Float](repeating: 0, count: shape.reduce(1, *))
            try weights.copyFloats(name, shape: shape, rows: nil, into: &values)
            spoil(name, &values)
            try writer.append(floats: values, count: values.count, to: name)
        }
        try writer.finish()
    }

    /// Masks that keep every other column, of a model whose down_proj has rows that end within a byte. `padding` is set behind their last column.
    static func writeMasks(_ sites: [LinearSite] = LinearSite.inLayer, layers: Range<Int>, to path: String, padding: UInt8 = 0) throws {
        let config = config()
        let label = PruningMasks.Label(method: "unst", score: .magnitude, sparsity: .ratio(0.5), sourceConfigHash: config.identityHash)
        let masks = layers.flatMap { layer in sites.map { (name: "\($0.modulePath(layer: layer)).weight", shape: $0.shape(in: config, layer: layer)) } }
        let writer = try SafetensorsWriter(
            path: path, tensors: masks.map { TensorInfo(name: $0.name, dtype: .u8, shape: [$0.shape.out, MaskBits.stride($0.shape.in)]) },
            metadata: label.metadata)
        for (name, shape) in masks {
            var row = [UInt8](repeating: 0x55, count: MaskBits.stride(shape.in))
            if shape.in % 8 != 0 {
                let used: UInt8 = 1 << UInt8(shape.in % 8) - 1
                row[row.count - 1] = 0x55 & used | padding
            }
            for _ in 0..<shape.out { try row.withUnsafeBytes { try writer.append($0, to: name) } }
        }
        try writer.finish()
    }

    /// Weights that `writeMasks` makes zero in a layer.
    static var zerosInALayer: Int {
        LinearSite.inLayer.reduce(0) { $0 + $1.shape(in: config(), layer: 0).out * ($1.shape(in: config(), layer: 0).in / 2) }
    }
}

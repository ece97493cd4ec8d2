/// Random weights of any model, made on demand: no file, no memory.
///
/// Matrices are normal with standard deviation 0.02 and norms are one, as transformers initializes a Llama. Each value depends on
/// (seed, tensor name, element index) alone, so any rows on any machine are the same numbers. Values are rounded to the config's
/// type: the source stands for a checkpoint of that type.
public struct SyntheticWeights: TensorSource {
    /// transformers' `initializer_range` for Llama.
    public static let standardDeviation = 0.02

    public let config: LlamaConfig
    public let seed: UInt64
    private let shapes: [String: [Int]]

    public init(config: LlamaConfig, seed: UInt64) {
        self.config = config
        self.seed = seed
        shapes = Dictionary(WeightLayout.names(config).map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    }

    public func contains(_ name: String) -> Bool { shapes[name] != nil }

    public func copyFloats(
        _ name: String, shape: [Int], rows: Range<Int>?, into destination: UnsafeMutablePointer<Float>
    ) throws {
        guard let known = shapes[name] else { throw CheckpointError.missingTensor(directory: "synthetic weights", tensor: name) }
        guard known == shape else {
            throw CheckpointError.wrongShape(path: "synthetic weights", tensor: name, expected: shape, found: known)
        }
        let elements = Self.elements(of: rows, shape: shape)
        if shape.count == 1 {
            destination.update(repeating: 1, count: elements.count)
            return
        }
        let key = WeightRandom.key(seed: seed, name: name)
        WeightRandom.normals(
            key: key, elements: elements, standardDeviation: Float(Self.standardDeviation), into: destination)
        round(destination, count: elements.count)
    }

    private func round(_ values: UnsafeMutablePointer<Float>, count: Int) {
        switch config.dtype {
        case .bf16:
            for i in 0..<count { values[i] = Float(bitPattern: UInt32(FloatConversion.bf16(values[i])) << 16) }
        case .f16:
            for i in 0..<count { values[i] = FloatConversion.float(fromF16: FloatConversion.f16(values[i])) }
        default: break
        }
    }
}

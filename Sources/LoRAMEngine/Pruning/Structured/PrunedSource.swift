/// A model as a plan leaves it, gathered on demand: what the next round of an iterative pruning scores.
public struct PrunedSource: TensorSource {
    public let config: LlamaConfig
    private let source: any TensorSource
    private let ranges: [String: PrunedTensor]

    /// - Throws: `PruningError.otherModel`.
    public init(_ source: any TensorSource, plan: PruningPlan) throws {
        self.source = source
        config = try plan.prunedConfig(of: source.config)
        let dtype = source.config.dtype
        let tensors = try PrunedTensor.all(plan: plan, source: source.config, pruned: config) { _, _ in dtype }
        ranges = Dictionary(tensors.map { ($0.info.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    public func contains(_ name: String) -> Bool { source.contains(name) }

    public func copyFloats(_ name: String, shape: [Int], rows: Range<Int>?, into destination: UnsafeMutablePointer<Float>) throws {
        guard let tensor = ranges[name], tensor.rows != nil || tensor.columns != nil else {
            return try source.copyFloats(name, shape: shape, rows: rows, into: destination)
        }
        guard tensor.info.shape == shape else {
            throw CheckpointError.wrongShape(path: "the pruned model", tensor: name, expected: shape, found: tensor.info.shape)
        }
        let width = tensor.sourceShape[1], wanted = rows ?? 0..<shape[0]
        var row = [Float](repeating: 0, count: width)
        var output = destination, kept = 0
        for run in tensor.rows ?? [0..<tensor.sourceShape[0]] {
            for index in run {
                defer { kept += 1 }
                guard wanted.contains(kept) else { continue }
                try source.copyFloats(name, shape: tensor.sourceShape, rows: index..<index + 1, into: &row)
                for columns in tensor.columns ?? [0..<width] {
                    row.withUnsafeBufferPointer { output.update(from: $0.baseAddress! + columns.lowerBound, count: columns.count) }
                    output += columns.count
                }
            }
        }
    }
}

/// The parts of a model that streamed scoring holds one after the other: the embedding, each layer, the final norm with the head.
enum StreamedParts {
    static func ranges(_ config: LlamaConfig) -> [StageRange] {
        let count = config.layerCount
        return [StageRange(layers: 0..<0, isFirst: true, isLast: false)]
            + (0..<count).map { StageRange(layers: $0..<$0 + 1, isFirst: false, isLast: false) }
            + [StageRange(layers: count..<count, isFirst: false, isLast: true)]
    }
}

/// Reads one part's weights on a thread of its own, while the part before is computed with.
///
/// Unchecked: the thread writes the result before it ends, the waiting one reads it afterwards.
final class PartReader: @unchecked Sendable {
    private var result: Result<StageWeights, any Error>?
    private var thread: BackgroundThread?

    init(_ read: @escaping @Sendable () throws -> StageWeights) {
        thread = BackgroundThread { [self] in result = Result { try read() } }
    }

    /// To be called once.
    ///
    /// - Throws: what reading threw.
    func wait() throws -> StageWeights {
        thread?.wait()
        thread = nil
        defer { result = nil }
        return try result!.get()
    }
}

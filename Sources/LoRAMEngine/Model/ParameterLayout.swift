/// Where each trained tensor of a stage stands in the stage's flat f32 buffers (parameters, gradients, moments).
///
/// Tensors stand in the model's order, so that a backward pass finishes them from the last to the first, and start at multiples of 16 floats; the gaps stay zero, so whole buffers can be summed and
/// exchanged at once. The same layout serves LoRA factors and dense weights.
public struct ParameterLayout: Sendable, Equatable {
    public struct Tensor: Sendable, Equatable {
        public let name: String
        public let shape: [Int]
        /// Floats from the buffer's start.
        public let offset: Int
        public let count: Int
        /// Name of the tensor that this one is a copy of: the output head of a model with tied embeddings, `lm_head.weight`, is
        /// trained as a copy of the embedding whose two gradients are added before each update.
        public let tiedTo: String?
    }

    public let tensors: [Tensor]
    /// Floats of a buffer, gaps included.
    public let count: Int

    public init(_ descriptions: [(name: String, shape: [Int], tiedTo: String?)]) {
        var tensors: [Tensor] = []
        var offset = 0
        for description in descriptions {
            let count = description.shape.reduce(1, *)
            tensors.append(Tensor(name: description.name, shape: description.shape, offset: offset, count: count, tiedTo: description.tiedTo))
            offset += (count + 15) / 16 * 16
        }
        self.tensors = tensors
        count = offset
    }

    public func tensor(named name: String) -> Tensor? { tensors.first { $0.name == name } }

    /// Trained numbers, each counted once.
    public var parameterCount: Int { tensors.reduce(0) { $0 + ($1.tiedTo == nil ? $1.count : 0) } }
}

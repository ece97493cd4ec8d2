/// One entry of a schedule: what a rank does next, for which micro-batch.
public struct Action: Sendable, Hashable {
    public enum Kind: String, Sendable, CaseIterable {
        /// Forward pass of the stage.
        case forward = "F"
        /// Repeat the forward pass ahead of the gradient's arrival, so that the backward pass finds its activations.
        case recompute = "R"
        /// Backward pass of the stage; recomputes first where no `recompute` went before. Where a `weightGradient` follows, without the
        /// gradients of the layers' weights.
        case backward = "B"
        /// The gradients of the layers' weights, of which nobody waits for: may come at any time behind the backward pass.
        case weightGradient = "W"
        /// Wait for the activation of the stage before.
        case receiveActivation = "RECV_F"
        /// Start to send the activation to the stage behind.
        case sendActivation = "SEND_F"
        /// Wait for the gradient of the stage behind.
        case receiveGradient = "RECV_B"
        /// Start to send the gradient to the stage before.
        case sendGradient = "SEND_B"
    }

    public let kind: Kind
    /// Counted from 0 within the step of one replica.
    public let microBatch: Int
    /// Which of a rank's model chunks; 0 where every rank holds one.
    public let chunk: Int

    public init(_ kind: Kind, _ microBatch: Int, chunk: Int = 0) {
        self.kind = kind
        self.microBatch = microBatch
        self.chunk = chunk
    }

    /// `2F0`: stage 2, forward, micro-batch 0; `2F0.1` of its chunk 1.
    public func text(stage: Int) -> String { "\(stage)\(kind.rawValue)\(microBatch)" + (chunk > 0 ? ".\(chunk)" : "") }

    /// Another kind of action for the same micro-batch and chunk.
    func with(_ kind: Kind) -> Action { Action(kind, microBatch, chunk: chunk) }
}

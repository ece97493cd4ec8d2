/// A contiguous part of a model: what one rank loads and computes.
public struct StageRange: Sendable, Equatable {
    public var layers: Range<Int>
    /// Holds the embedding: the pipeline's first stage.
    public var isFirst: Bool
    /// Holds the final norm and the output head: the pipeline's last stage.
    public var isLast: Bool

    public init(layers: Range<Int>, isFirst: Bool, isLast: Bool) {
        self.layers = layers
        self.isFirst = isFirst
        self.isLast = isLast
    }

    public static func whole(_ config: LlamaConfig) -> StageRange {
        StageRange(layers: 0..<config.layerCount, isFirst: true, isLast: true)
    }
}

/// What a stage learns.
public enum Training: Sendable, Equatable {
    /// Nothing, with or without an adapter: evaluation.
    case none(adapter: LoRAConfig?)
    /// Low-rank matrices on a frozen base.
    case lora(LoRAConfig)
    /// All weights but those whose name matches a pattern.
    case dense(frozen: [NamePattern])

    public var lora: LoRAConfig? {
        switch self {
        case .none(let adapter): adapter
        case .lora(let config): config
        case .dense: nil
        }
    }

    public var isTraining: Bool {
        if case .none = self { false } else { true }
    }

    public var isDense: Bool {
        if case .dense = self { true } else { false }
    }
}

/// Which activations a stage keeps between forward and backward.
public enum Recomputation: String, Sendable, CaseIterable {
    /// One input per layer; the rest is computed again in the backward pass.
    case full
    /// All but what elementwise operations give: norms and the MLP's product are computed again, no matrix product is.
    case selective
    /// Everything.
    case none
}

/// Sizes that fix a stage's memory before its first step.
public struct StageCapacity: Sendable, Equatable {
    /// Tokens of the largest micro-batch.
    public var tokens: Int
    /// Longest segment.
    public var positions: Int
    /// Micro-batches between their forward and their backward at once.
    public var slots: Int
    public var recomputation: Recomputation
    /// Whether a whole micro-batch may be recomputed before its gradient arrives: all layers' activations exist at once.
    public var recomputesAhead: Bool
    /// Micro-batches whose weight gradients wait at once to be made.
    public var weightSlots: Int

    public init(
        tokens: Int, positions: Int, slots: Int = 1, recomputation: Recomputation = .full, recomputesAhead: Bool = false, weightSlots: Int = 0
    ) {
        self.tokens = tokens
        self.positions = positions
        self.slots = slots
        self.recomputation = recomputation
        self.recomputesAhead = recomputesAhead
        self.weightSlots = weightSlots
    }
}

/// A name of weights to freeze: a whole tensor name, any of its path components (`lm_head`, `q_proj`), or a glob with `*`.
public struct NamePattern: Sendable, Equatable {
    public let text: String
    public init(_ text: String) { self.text = text }

    public func matches(_ name: String) -> Bool {
        if text == name || text + ".weight" == name { return true }
        guard text.contains("*") else { return name.split(separator: ".").contains(Substring(text)) }
        return Self.glob(Array(text.utf8)[...], Array(name.utf8)[...]) || Self.glob(Array((text + ".weight").utf8)[...], Array(name.utf8)[...])
    }

    private static func glob(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        if first == UInt8(ascii: "*") {
            return name.indices.contains { glob(pattern.dropFirst(), name[$0...]) } || glob(pattern.dropFirst(), [])
        }
        return name.first == first && glob(pattern.dropFirst(), name.dropFirst())
    }
}

/// What decides which single weights go.
public enum WeightScore: String, Sendable, Equatable, CaseIterable {
    case sparseGPT = "sparsegpt"
    case magnitude
    case wanda

    public init(_ score: PruningRecipe.Score) {
        switch score {
        case .auto: self = .sparseGPT
        case .magnitude: self = .magnitude
        case .wanda: self = .wanda
        }
    }

    public var needsCalibration: Bool { self != .magnitude }

    /// Floats that are summed over the tokens for linear layers with `inputs` inputs: x x^T, or its diagonal.
    public func momentCount(inputs: Int) -> Int {
        switch self {
        case .sparseGPT: inputs * inputs
        case .wanda: inputs
        case .magnitude: 0
        }
    }
}

/// The linear layers of a decoder layer that multiply the same input.
public enum InputGroup: Int, Sendable, CaseIterable {
    case attention, output, mlp, down

    public var sites: [LinearSite] {
        switch self {
        case .attention: [.q, .k, .v]
        case .output: [.o]
        case .mlp: [.gate, .up]
        case .down: [.down]
        }
    }

    public func inputCount(_ config: LlamaConfig, layer: Int) -> Int { sites[0].shape(in: config, layer: layer).in }
}

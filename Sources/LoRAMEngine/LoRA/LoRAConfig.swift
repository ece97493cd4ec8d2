/// Which linear layers carry low-rank matrices, and how: delta W = B A * scale.
public struct LoRAConfig: Sendable, Equatable {
    public var rank: Int
    public var alpha: Double
    public var dropout: Double
    /// Scale alpha / sqrt(rank) instead of alpha / rank (rank-stabilized LoRA, arXiv 2312.03732).
    public var rankStabilized: Bool
    public var targets: [LinearSite]

    public init(rank: Int, alpha: Double, dropout: Double = 0, rankStabilized: Bool = false, targets: [LinearSite]) {
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.rankStabilized = rankStabilized
        self.targets = targets
    }

    public var scale: Float {
        Float(rankStabilized ? alpha / Double(rank).squareRoot() : alpha / Double(rank))
    }
}

/// PEFT's names of adapter tensors, which are also our names of LoRA parameters everywhere.
public enum AdapterName {
    /// [rank, in]
    public static func a(_ site: LinearSite, layer: Int) -> String { "base_model.model.\(site.modulePath(layer: layer)).lora_A.weight" }
    /// [out, rank]
    public static func b(_ site: LinearSite, layer: Int) -> String { "base_model.model.\(site.modulePath(layer: layer)).lora_B.weight" }
}

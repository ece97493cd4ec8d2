/// `lora`: the adapter that is trained.
public struct LoRARecipe: RecipeSection {
    /// What an adapter on non-structurally pruned weights is multiplied by.
    public enum Mask: String, RecipeWord {
        case none
        /// The mask, when the product is merged.
        case recovery
        /// The mask, in training and when merged.
        case training
    }

    public var rank = 8
    public var alpha = 16.0
    /// On the LoRA path's input.
    public var dropout = 0.05
    /// Scale alpha / sqrt(rank) instead of alpha / rank.
    public var rslora = false
    /// `auto`: all eight sites, without lm_head where the model ties it to the embedding.
    public var targets = Auto<[LinearSite]>.auto
    /// A PEFT directory to start from.
    public var initAdapter: String?
    public var mask = Mask.none

    public init() {}

    public static let keys: [RecipeKey<LoRARecipe>] = [
        RecipeKey("rank", \.rank, .within(1...65536)),
        RecipeKey("alpha", \.alpha, .above(0)),
        RecipeKey("dropout", \.dropout, .within(0..<1)),
        RecipeKey("rslora", \.rslora),
        RecipeKey(
            "targets", \.targets,
            .unlessAuto(RecipeRange("a list of sites without repeats, and not empty") { !$0.isEmpty && Set($0).count == $0.count })),
        RecipeKey("init_adapter", \.initAdapter, .ifGiven(.notEmpty)),
        RecipeKey("mask", \.mask),
    ]

    /// The sites that carry LoRA, in `LinearSite`'s order, and whether lm_head was left out because the model ties it.
    public func resolvedTargets(tied: Bool) -> (targets: [LinearSite], droppedHead: Bool) {
        switch targets {
        case .value(let given): (LinearSite.allCases.filter(given.contains), false)
        case .auto: tied ? (LinearSite.inLayer, true) : (LinearSite.allCases, false)
        }
    }

    public func config(tied: Bool) -> LoRAConfig {
        LoRAConfig(rank: rank, alpha: alpha, dropout: dropout, rankStabilized: rslora, targets: resolvedTargets(tied: tied).targets)
    }
}

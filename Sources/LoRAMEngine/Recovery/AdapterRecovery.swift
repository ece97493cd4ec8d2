/// Brings an adapter that was trained on a structurally pruned model back to the whole model's shape.
///
/// Only the pruned dimension of a factor grows: q, k, v, gate and up get rows of lora_B, o and down columns of lora_A. Everything else,
/// lm_head among it, stays bit for bit. With zeros in the new places, the recovered product B A is the pruned one scattered into a matrix
/// of zeros. Without a plan (an unpruned base) recovery is the identity.
public struct AdapterRecovery: Sendable {
    /// What stands in the new places.
    public enum Fill: Sendable, Equatable {
        case zero
        /// New columns of lora_A are normal with standard deviation 1 / rank, each a function of (seed, tensor name, element); new
        /// rows of lora_B are zero all the same.
        case normal(seed: UInt64)
    }

    public let source: LlamaConfig
    public let plan: PruningPlan?
    /// The model that the adapter was trained on.
    public let trained: LlamaConfig

    /// - Parameters:
    ///   - source: the whole model.
    ///   - plan: of the pruned model that the adapter was trained on; nil: it was trained on the whole model.
    /// - Throws: `PruningError.otherModel` if the plan was not made for `source`.
    public init(source: LlamaConfig, plan: PruningPlan?) throws {
        self.source = source
        self.plan = plan
        trained = try plan?.prunedConfig(of: source) ?? source
    }

    /// The member of adapter_config.json by which a pruned model's adapter remembers its plan. Plans of one ratio give the same shapes,
    /// so that shapes alone cannot tell an adapter of another plan.
    public static func mark(of plan: PruningPlan) -> JSONMember {
        JSONMember(markKey, .string(plan.hash))
    }

    static let markKey = "loram_pruning_plan_sha256"

    /// Writes the recovered adapter as a PEFT directory that fits the whole model.
    ///
    /// - Parameters:
    ///   - masks: what the adapter's product is multiplied by (`AdapterMask`); they go with it.
    ///   - baseModel: the whole model's name or path, for adapter_config.json.
    /// - Throws: `AdapterError` if the adapter's shapes are not the pruned model's, `RecoveryError.otherPlan`, `FileError`.
    public func recover(
        _ adapter: Adapter, fill: Fill = .zero, to path: String, baseModel: String?, masks: PruningMasks? = nil, replacing: Bool = false
    ) throws {
        try adapter.require(plan: plan)
        try adapter.validate(for: trained)

        let factors = adapter.modules.flatMap { self.factors(of: $0, rank: adapter.lora.rank) }
        let writer = try AdapterWriter(
            path: path, lora: adapter.lora, tensors: factors.map { ($0.name, $0.shape) }, baseModel: baseModel,
            extra: masks == nil ? [] : adapter.configuration[AdapterMask.key].map { [JSONMember(AdapterMask.key, $0)] } ?? [], replacing: replacing)
        if let masks { try writer.link(PruningMasks.fileName, from: masks.path) }
        let trainedValues = UnsafeMutableBufferPointer<Float>.allocate(capacity: factors.map(\.trainedCount).max() ?? 0)
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: factors.map(\.count).max() ?? 0)
        defer {
            trainedValues.deallocate()
            values.deallocate()
        }
        for factor in factors {
            try adapter.copyFloats(factor.name, shape: factor.trainedShape, into: trainedValues.baseAddress!)
            factor.fill(values.baseAddress!, fill, rank: adapter.lora.rank)
            factor.scatter(trainedValues.baseAddress!, into: values.baseAddress!)
            try writer.append(values.baseAddress!, count: factor.count, to: factor.name)
        }
        try writer.finish()
    }

    /// lora_A [rank, in] and lora_B [out, rank] of a module.
    private func factors(of module: AdapterModule, rank: Int) -> [RecoveredFactor] {
        let whole = module.site.shape(in: source, layer: module.layer)
        let part = module.site.shape(in: trained, layer: module.layer)
        let kept = plan?.keptRanges(module.site, layer: module.layer)
        return [
            RecoveredFactor(name: module.aName, shape: [rank, whole.in], trainedShape: [rank, part.in], columns: kept?.columns ?? nil),
            RecoveredFactor(name: module.bName, shape: [whole.out, rank], trainedShape: [part.out, rank], rows: kept?.rows ?? nil),
        ]
    }
}

/// One factor of the recovered adapter and the places of its trained values.
struct RecoveredFactor {
    var name: String
    var shape: [Int]
    var trainedShape: [Int]
    /// Runs of kept rows or columns; nil: all. At most one of the two is pruned.
    var rows: [Range<Int>]?
    var columns: [Range<Int>]?

    var count: Int { shape[0] * shape[1] }
    var trainedCount: Int { trainedShape[0] * trainedShape[1] }

    /// Sets all of `values` [shape] to what belongs in new places.
    func fill(_ values: UnsafeMutablePointer<Float>, _ fill: AdapterRecovery.Fill, rank: Int) {
        if case .normal(let seed) = fill, columns != nil {
            CounterRandom(seed: seed, name: name).fillNormal(values, count: count, deviation: 1 / Double(rank))
        } else {
            values.update(repeating: 0, count: count)
        }
    }

    /// Puts `trained` [trainedShape] into its places of `values` [shape].
    func scatter(_ trained: UnsafePointer<Float>, into values: UnsafeMutablePointer<Float>) {
        let width = shape[1]
        var source = trained
        for run in rows ?? [0..<shape[0]] {
            for row in run {
                for columns in columns ?? [0..<width] {
                    (values + row * width + columns.lowerBound).update(from: source, count: columns.count)
                    source += columns.count
                }
            }
        }
    }
}

extension Adapter {
    /// That an adapter of a pruned model is for the one of this plan; one that remembers none may be.
    ///
    /// - Throws: `RecoveryError.otherPlan`.
    public func require(plan: PruningPlan?) throws {
        guard let plan, let mark = configuration[AdapterRecovery.markKey]?.stringValue, mark != plan.hash else { return }
        throw RecoveryError.otherPlan(adapter: file.path, expected: plan.hash, found: mark)
    }
}

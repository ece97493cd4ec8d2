/// Applies a plan to a model: gathers the kept rows and columns of every weight into a new checkpoint.
public enum StructuredPruner {
    /// Writes the pruned checkpoint: config.json (`model_type: loram_llama`), weights bit for bit in their own type, pruning_plan.json,
    /// the modeling script and the tokenizer's files. It appears under its name when it is complete.
    ///
    /// Memory: one block of at most 8 MiB beside the writer's buffer; source pages are given back as they are done with.
    ///
    /// - Parameters:
    ///   - scores: what the plan was chosen by, one a pruned layer; written beside it.
    ///   - progress: called after each tensor with the bytes written so far and altogether.
    /// - Throws: `PruningError`, `CheckpointError`, `FileError`, `SafetensorsError`.
    /// - Returns: bytes read of the source's files; random weights are made, not read.
    @discardableResult
    public static func prune(
        _ model: ModelReference, plan: PruningPlan, to path: String, scores: [LayerImportance]? = nil, replacing: Bool = false,
        progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws -> Int {
        let source = model.config
        let pruned = try plan.prunedConfig(of: source)
        if case .checkpoint(let checkpoint) = model.origin { try checkpoint.validate() }

        let tensors = try PrunedTensor.all(plan: plan, source: source, pruned: pruned) { name, shape in
            if case .checkpoint(let checkpoint) = model.origin { try checkpoint.locateWeight(name, shape: shape).info.dtype } else { source.dtype }
        }
        let writer = try CheckpointWriter(
            path: path, tensors: tensors.map(\.info),
            configuration: pruned.configJSON(pruning: .init(method: plan.method, ratio: plan.ratio), from: model.configuration),
            companionsFrom: model.directory, replacing: replacing)
        try writer.addFile(PruningPlan.fileName, Array(plan.serialized().utf8))
        if let scores { try LayerImportance.write(scores, firstLayer: plan.keepFirst, to: writer.path(ofFile: LayerImportance.fileName)) }

        let gather = RowGather(writer: writer)
        let total = tensors.reduce(0) { $0 + $1.info.byteCount }
        var done = 0
        for tensor in tensors {
            switch model.origin {
            case .checkpoint(let checkpoint):
                let (file, entry, _) = try checkpoint.locateWeight(tensor.info.name, shape: tensor.sourceShape)
                try gather.copy(file, entry, tensor)
            case .synthetic(let weights):
                try gather.generate(weights, tensor)
            }
            done += tensor.info.byteCount
            progress?(done, total)
        }
        try writer.finish()
        return gather.readByteCount
    }
}

/// A weight of the pruned model and where it comes from.
struct PrunedTensor {
    var info: TensorInfo
    var sourceShape: [Int]
    /// Kept indices of the first and second dimension; nil: all.
    var rows: [Range<Int>]?
    var columns: [Range<Int>]?

    /// In the order of `WeightLayout`.
    static func all(
        plan: PruningPlan, source: LlamaConfig, pruned: LlamaConfig, dtype: (String, [Int]) throws -> DType
    ) throws -> [PrunedTensor] {
        var ranges: [String: (rows: [Range<Int>]?, columns: [Range<Int>]?)] = [:]
        for layer in 0..<source.layerCount {
            for site in LinearSite.inLayer { ranges["\(site.modulePath(layer: layer)).weight"] = plan.keptRanges(site, layer: layer) }
        }
        return try zip(WeightLayout.names(source), WeightLayout.names(pruned)).map { whole, part in
            let kept = ranges[whole.name] ?? (nil, nil)
            return PrunedTensor(
                info: TensorInfo(name: part.name, dtype: try dtype(whole.name, whole.shape), shape: part.shape),
                sourceShape: whole.shape, rows: kept.rows, columns: kept.columns)
        }
    }
}

/// The full model that a base checkpoint and an adapter of its shape give, file by file. Nothing is computed before it is read.
///
/// Files and the order of tensors in them are the base's. Adapted weights become bf16; all others stay bit for bit, quantized ones too.
/// A tied head with an adapter becomes a tensor of its own, behind all others, and the model untied.
public struct MergePlan: Sendable {
    public let base: Checkpoint
    public let adapter: Adapter
    /// In the order of the base's shards.
    let files: [MergedFile]
    /// config.json of the merged model.
    public let configuration: JSONValue
    /// Module paths in the order in which they are merged, each weight once.
    let order: [String]

    /// - Throws: `AdapterError` for an adapter of another model, `CheckpointError` and others for a broken base.
    public init(base: Checkpoint, adapter: Adapter, mask: (any DeltaMask)? = nil) throws {
        try base.validate()
        try adapter.validate(for: base.config)
        self.base = base
        self.adapter = adapter
        order = adapter.modules.map { $0.site.modulePath(layer: $0.layer) }
        let untied = base.config.tiesWordEmbeddings && adapter.modules.contains { $0.site == .lmHead }
        let factors = LeasedFactors(), scratch = LeasePool { MergedTensor.Scratch() }
        var merged: [String: MergedTensor] = [:]
        for module in adapter.modules {
            let shape = module.site.shape(in: base.config, layer: module.layer), name = "\(module.site.modulePath(layer: module.layer)).weight"
            merged[name] = MergedTensor(
                module: module, shape: [shape.out, shape.in], source: untied && module.site == .lmHead ? WeightName.embedding : name, base: base,
                adapter: adapter, mask: mask, factors: factors, scratch: scratch)
        }
        var quantized: Set<String> = []
        for name in merged.keys where base.isNF4(name) { for part in NF4Tensor.Part.allCases { quantized.insert(name + part.rawValue) } }

        var written: Set<String> = []
        files = try base.shardNames.enumerated().map { number, shardName in
            let shard = try base.shard(number)
            var tensors: [(TensorInfo, MergedFile.Source)] = []
            for (entry, info) in shard.tensors.enumerated() where !quantized.contains(info.name) {
                // The head of a tied model, which some files have all the same, gives way to the untied one.
                if untied, info.name == WeightName.lmHead { continue }
                if let tensor = merged[info.name], written.insert(info.name).inserted {
                    tensors.append((TensorInfo(name: info.name, dtype: .bf16, shape: tensor.shape), .merged(tensor)))
                } else {
                    tensors.append((info, .copied(shard, entry: entry)))
                }
            }
            if untied, number == base.shardNames.count - 1, let head = merged[WeightName.lmHead] {
                tensors.append((TensorInfo(name: WeightName.lmHead, dtype: .bf16, shape: head.shape), .merged(head)))
            }
            return try MergedFile(name: shardName, path: shard.path, tensors: tensors, metadata: shard.metadata)
        }
        configuration = Self.configuration(base, untied: untied, merged: merged.keys.sorted())
    }

    private static func configuration(_ base: Checkpoint, untied: Bool, merged: [String]) -> JSONValue {
        var json = base.configuration
        if untied { json["tie_word_embeddings"] = false }
        guard base.quantization != nil, merged.contains(where: base.isNF4) else { return json }
        let left = (0..<base.config.layerCount).flatMap { layer in LinearSite.inLayer.map { "\($0.modulePath(layer: layer)).weight" } }
            .filter { base.isNF4($0) && !merged.contains($0) }
        if left.isEmpty {
            json[QuantizationConfig.key] = nil
        } else {
            // Readers take every linear layer for quantized that is not named here.
            let plain = merged.map { String($0.dropLast(".weight".count)) }
            json[QuantizationConfig.key]?["llm_int8_skip_modules"] = .array((plain + ["lm_head"]).map { .string($0) })
        }
        return json
    }

    public var fileCount: Int { files.count }

    /// model.safetensors.index.json; nil for a model of one file.
    var index: JSONValue? {
        guard files.count > 1 || files.first?.name != Checkpoint.weightsName else { return nil }
        let total = files.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + $1.byteCount } }
        let map = files.flatMap { file in file.tensors.map { JSONMember($0.name, .string(file.name)) } }
        return ["metadata": ["total_size": .integer(total)], "weight_map": .object(map)]
    }

    /// Whatever the merged files depend on, as one text.
    func fingerprint(_ file: String) -> String {
        "\(base.files.fingerprint(file)) | \(FileSystem.identity(adapter.file.path) ?? adapter.file.path) | \(adapter.lora.scale.bitPattern)"
    }
}

/// Writes a non-structurally pruned checkpoint: a plain Llama of the source's shape and types, with zeros, and its masks beside.
///
/// Layers come in order; what is not pruned is copied from the source, bit for bit.
public final class SparseCheckpointWriter {
    private let model: ModelReference
    private let writer: CheckpointWriter
    private let masks: SafetensorsWriter
    private let gather: RowGather
    private let weights: [String: TensorInfo]
    /// Weights that became zero so far.
    public private(set) var prunedCount = 0
    /// Bytes of what was copied, read from the source's files.
    public var readByteCount: Int { gather.readByteCount }

    /// - Parameter prunedLayers: those that `append` gives.
    /// - Throws: `CheckpointError`, `FileError`, `SafetensorsError`; `PruningError.notUniform` for a structurally pruned source.
    public init(_ model: ModelReference, label: PruningMasks.Label, prunedLayers: Range<Int>, to path: String, replacing: Bool = false) throws {
        let config = model.config
        guard config.isUniform else { throw PruningError.notUniform }
        if case .checkpoint(let checkpoint) = model.origin { try checkpoint.validate() }
        let weights = try WeightLayout.names(config).map { TensorInfo(name: $0.name, dtype: try model.dtype($0.name, $0.shape), shape: $0.shape) }
        self.model = model
        writer = try CheckpointWriter(
            path: path, tensors: weights, configuration: config.configJSON(from: model.configuration), companionsFrom: model.directory,
            replacing: replacing)
        let sites = prunedLayers.flatMap { layer in LinearSite.inLayer.map { ($0, layer) } }
        masks = try SafetensorsWriter(
            path: writer.path(ofFile: PruningMasks.fileName),
            tensors: sites.map { site, layer in
                let shape = site.shape(in: config, layer: layer)
                return TensorInfo(name: PruningMasks.name(site, layer: layer), dtype: .u8, shape: [shape.out, MaskBits.stride(shape.in)])
            }, metadata: label.metadata)
        gather = RowGather(writer: writer)
        self.weights = Dictionary(weights.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        try copy(WeightName.embedding)
    }

    /// One pruned weight, in f32 (rounded to its type already, or rounded here), with its packed mask. Sites come in `LinearSite.inLayer`'s order.
    public func append(_ site: LinearSite, layer: Int, values: UnsafePointer<Float>, mask: UnsafePointer<UInt8>) throws {
        let shape = site.shape(in: model.config, layer: layer), byteCount = shape.out * MaskBits.stride(shape.in)
        let name = PruningMasks.name(site, layer: layer)
        try writer.append(floats: values, count: shape.out * shape.in, to: name)
        try masks.append(UnsafeRawBufferPointer(start: mask, count: byteCount), to: name)
        prunedCount += shape.out * shape.in
        for index in 0..<byteCount { prunedCount -= mask[index].nonzeroBitCount }
    }

    /// The norms of a layer whose linear layers were appended.
    public func finishLayer(_ layer: Int) throws {
        try copy(WeightName.inputNorm(layer: layer))
        try copy(WeightName.postAttentionNorm(layer: layer))
    }

    /// A layer that stays as it is.
    public func copyLayer(_ layer: Int) throws {
        for site in LinearSite.inLayer { try copy("\(site.modulePath(layer: layer)).weight") }
        try finishLayer(layer)
    }

    /// The rest of the model; the directory gets its name.
    public func finish() throws {
        try copy(WeightName.finalNorm)
        if !model.config.tiesWordEmbeddings { try copy(WeightName.lmHead) }
        try masks.finish()
        try writer.finish()
    }

    private func copy(_ name: String) throws {
        let info = weights[name]!, tensor = PrunedTensor(info: info, sourceShape: info.shape)
        switch model.origin {
        case .checkpoint(let checkpoint):
            let (file, entry, _) = try checkpoint.locateWeight(name, shape: info.shape)
            try gather.copy(file, entry, tensor)
        case .synthetic(let weights): try gather.generate(weights, tensor)
        }
    }
}

extension ModelReference {
    /// A checkpoint's config.json as it stands; nil for random weights.
    public var configuration: JSONValue? {
        if case .checkpoint(let checkpoint) = origin { checkpoint.configuration } else { nil }
    }

    /// The type in which a weight is stored.
    ///
    /// - Throws: `CheckpointError`, also for a quantized weight.
    public func dtype(_ name: String, _ shape: [Int]) throws -> DType {
        if case .checkpoint(let checkpoint) = origin { try checkpoint.locateWeight(name, shape: shape).info.dtype } else { config.dtype }
    }
}

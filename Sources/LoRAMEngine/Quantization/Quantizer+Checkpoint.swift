extension Quantizer {
    /// What `quantize(_:to:)` read and wrote.
    public struct Summary: Sendable {
        public var sourceByteCount: Int
        public var byteCount: Int
        /// Of the parameters those that are stored in 4 bit.
        public var quantizedParameterCount: Int
    }

    /// Writes a model as an NF4 checkpoint in the layout of bitsandbytes: the seven linear layers of each decoder layer in 4 bit; embedding,
    /// head and norms in bf16; config.json with `quantization_config`; the plan and the modeling script of a pruned model; the tokenizer's
    /// files. It appears under its name when it is complete.
    ///
    /// Memory: one piece of a weight and the block maxima of one; source pages are given back as they are done with.
    ///
    /// - Parameters:
    ///   - progress: called after each weight with the source bytes done and altogether.
    /// - Throws: `QuantizationError`, `CheckpointError`, `PruningError` for a broken plan, `FileError`, `SafetensorsError`.
    @discardableResult
    public func quantize(
        _ model: ModelReference, to path: String, replacing: Bool = false,
        maxShardByteCount: Int = CheckpointWriter.defaultMaxShardByteCount, pool: ThreadPool? = nil,
        progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws -> Summary {
        var plan: PruningPlan?, masks: PruningMasks?
        if case .checkpoint(let checkpoint) = model.origin {
            guard checkpoint.quantization == nil else { throw QuantizationError.alreadyQuantized(path: checkpoint.directory) }
            try checkpoint.validate()
            plan = try PruningPlan.beside(checkpoint: checkpoint.directory)
            masks = try PruningMasks.beside(checkpoint.directory, of: checkpoint.config)
        }
        let linears = Set((0..<model.config.layerCount).flatMap { layer in LinearSite.inLayer.map { "\($0.modulePath(layer: layer)).weight" } })
        let weights = try WeightLayout.names(model.config).map { try WeightPieces(name: $0.name, shape: $0.shape, source: model.source) }
        let layout = weights.map { linears.contains($0.name) ? tensors(of: $0) : [TensorInfo(name: $0.name, dtype: .bf16, shape: $0.shape)] }

        let writer = try CheckpointWriter(
            path: path, tensors: layout.flatMap { $0 }, deferred: Set(linears.map { $0 + NF4Tensor.Part.state.rawValue }),
            configuration: configuration(model), companionsFrom: model.directory, maxShardByteCount: maxShardByteCount, replacing: replacing)
        if let masks { try writer.link(PruningMasks.fileName, from: masks.path) }
        if let plan { try writer.addFile(PruningPlan.fileName, Array(plan.serialized().utf8)) }

        let total = weights.reduce(0) { $0 + $1.elementCount * $1.storedDType.byteCount }
        var done = 0, quantized = 0
        for weight in weights {
            if linears.contains(weight.name) {
                try write(weight, to: writer, pool: pool)
                quantized += weight.elementCount
            } else {
                try copy(weight, to: writer)
            }
            done += weight.elementCount * weight.storedDType.byteCount
            progress?(done, total)
        }
        try writer.finish()
        return Summary(sourceByteCount: total, byteCount: writer.byteCount, quantizedParameterCount: quantized)
    }

    /// The source's own config.json with what changes; for random weights one from the shape.
    private func configuration(_ model: ModelReference) -> JSONValue {
        guard case .checkpoint(let checkpoint) = model.origin else {
            var config = model.config
            config.dtype = .bf16
            var json = config.configJSON()
            json[QuantizationConfig.key] = QuantizationConfig(doubleQuantization: double).json
            return json
        }
        var json = checkpoint.configuration
        // A null stays what it is to readers: absent.
        let keys = ["dtype", "torch_dtype"].filter { json[$0] != nil }
        for key in keys.isEmpty ? ["torch_dtype"] : keys { json[key] = "bfloat16" }
        // Classes of files that are not copied would not be found.
        let isPruned = json["model_type"]?.stringValue == LlamaConfig.prunedModelType
        json["auto_map"] = isPruned ? .some(ModelingScript.autoMap) : .none
        json[QuantizationConfig.key] = QuantizationConfig(doubleQuantization: double).json
        return json
    }

    private func tensors(of weight: WeightPieces) -> [TensorInfo] { tensors(of: weight.name, shape: weight.shape, dtype: weight.storedDType) }

    /// The tensors of a quantized weight in the order in which they are written; the state's length is a bound.
    func tensors(of name: String, shape: [Int], dtype: DType) -> [TensorInfo] {
        let count = shape.reduce(1, *)
        func info(_ part: NF4Tensor.Part, _ dtype: DType, _ count: Int) -> TensorInfo {
            TensorInfo(name: name + part.rawValue, dtype: dtype, shape: [count])
        }
        let state = NF4State(dtype: dtype, shape: shape, nestedOffset: double ? 0 : nil)
        var result = [
            TensorInfo(name: name, dtype: .u8, shape: [NF4Layout.codeByteCount(count), 1]),
            info(.absmax, double ? .u8 : .f32, NF4Layout.blockCount(count)), info(.map, .f32, NF4Kernels.codes.count),
        ]
        if double {
            result += [
                info(.nestedAbsmax, .f32, NF4Layout.nestedBlockCount(count)), info(.nestedMap, .f32, NF4Kernels.dynamicMap.count),
            ]
        }
        return result + [info(.state, .u8, state.maxByteCount)]
    }

    private func write(_ weight: WeightPieces, to writer: CheckpointWriter, pool: ThreadPool?) throws {
        let name = weight.name
        let codes = ByteBuffer(count: NF4Layout.codeByteCount(min(weight.elementCount, largestPiece(of: weight))))
        var absmax: [Float] = []
        absmax.reserveCapacity(NF4Layout.blockCount(weight.elementCount))
        try weight.forEach { bytes, elements in
            absmax += try encode(bytes, dtype: weight.dtype, count: elements.count, into: codes.base, pool: pool) {
                CheckpointError.nonFinite(path: weight.origin, tensor: name, element: elements.lowerBound + $0)
            }
            try writer.append(UnsafeRawBufferPointer(start: codes.base, count: NF4Layout.codeByteCount(elements.count)), to: name)
        }
        let scales = try encodeScales(absmax, name: name, origin: weight.origin, pool: pool)
        let state = NF4State(dtype: weight.storedDType, shape: weight.shape, nestedOffset: scales.nestedOffset)
        writer.setDeferred(state.bytes, name + NF4Tensor.Part.state.rawValue)
        func append<Element>(_ elements: [Element], _ part: NF4Tensor.Part) throws {
            try elements.withUnsafeBytes { try writer.append($0, to: name + part.rawValue) }
        }
        try append(scales.absmax, .absmax)
        try append(NF4Kernels.codes, .map)
        if double {
            try append(scales.nestedAbsmax, .nestedAbsmax)
            try append(NF4Kernels.dynamicMap, .nestedMap)
        }
    }

    /// A generated piece may hold one row that is wider than a piece, and the rest of a block before it.
    private func largestPiece(of weight: WeightPieces) -> Int {
        max(WeightPieces.elementCount, weight.shape.dropFirst().reduce(1, *)) + NF4Layout.blockSize
    }

    private func copy(_ weight: WeightPieces, to writer: CheckpointWriter) throws {
        let buffer = ByteBuffer(count: 4 * min(weight.elementCount, largestPiece(of: weight)))
        let values = buffer.base.assumingMemoryBound(to: Float.self)
        try weight.forEach { bytes, elements in
            let view = TensorView(
                info: TensorInfo(name: weight.name, dtype: weight.dtype, shape: [elements.count]),
                bytes: UnsafeRawBufferPointer(start: bytes, count: elements.count * weight.dtype.byteCount), origin: weight.origin, owner: buffer)
            try view.copyFloats(into: values)
            // Also what is too large for bf16, which f32 would hold.
            FloatConversion.round(values, count: elements.count, to: .bf16)
            if let index = FloatConversion.firstNonFinite(values, count: elements.count) {
                throw CheckpointError.nonFinite(path: weight.origin, tensor: weight.name, element: elements.lowerBound + index)
            }
            try writer.append(floats: values, count: elements.count, to: weight.name)
        }
    }
}

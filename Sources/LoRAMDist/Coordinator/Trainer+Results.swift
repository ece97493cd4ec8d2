import LoRAMEngine

/// Trained tensors on their way from the stages to rank 0's files, a few MiB at a time.
extension Trainer {
    static let pieceCount = 4 << 20
    private static let tag = 5
    private var isFirst: Bool { seat.training.rank == 0 }

    /// All ranks call this with the same names. For each tensor in turn, the stage that trains it sends its values, of which its replicas
    /// have parts, and rank 0's `consume` gets them in pieces, in order. Nothing is held whole.
    private func collect(_ names: [String], _ consume: (_ name: String, UnsafePointer<Float>, _ count: Int) throws -> Void) throws {
        let owners = try ownerStages(), position = seat.position
        let buffer = FloatBuffer(count: Self.pieceCount), arriving = FloatBuffer(count: Self.pieceCount)
        let pieceLength = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
        defer { pieceLength.deallocate() }
        for name in names {
            guard let (owner, count) = owners[name] else { continue }
            if position.stage == owner {
                let (chunk, tensor) = try trained(name)
                try chunk.optimizer.collect(.value, tensor.offset..<tensor.offset + count, buffer) { values, length in
                    guard owner > 0 else { return try consume(name, values, length) }
                    // Where pieces end depends on the replicas' parts, which rank 0 does not know.
                    pieceLength.pointee = Int64(length)
                    try seat.pipeline.send(UnsafePointer(pieceLength), count: 1, to: 0, tag: Self.tag).wait()
                    try seat.pipeline.send(values, count: length, to: 0, tag: Self.tag).wait()
                }
            } else if isFirst {
                var rest = count
                while rest > 0 {
                    try seat.pipeline.receive(into: pieceLength, count: 1, from: owner, tag: Self.tag).wait()
                    let length = Int(pieceLength.pointee)
                    try seat.pipeline.receive(into: arriving.base, count: length, from: owner, tag: Self.tag).wait()
                    try consume(name, arriving.base, length)
                    rest -= length
                }
            }
        }
    }

    /// A tensor that this rank trains.
    private func trained(_ name: String) throws -> (TrainedChunk, ParameterLayout.Tensor) {
        for chunk in chunks {
            if let tensor = chunk.stage.layout.tensor(named: name) { return (chunk, tensor) }
        }
        preconditionFailure("\(name) is not trained on this stage")
    }

    /// Stage and element count of every trained tensor, each stage computing the same from the partition, whose parts go round the stages.
    private func ownerStages() throws -> [String: (stage: Int, count: Int)] {
        let config = chunks[0].stage.config
        var owners: [String: (stage: Int, count: Int)] = [:]
        for index in 0..<partition.stages {
            let range = partition.range(stage: index)
            for tensor in ModelStage.trainedTensors(config: config, range: range, training: settings.training) where tensor.tiedTo == nil {
                owners[tensor.name] = (index % grid.dims.stages, tensor.shape.reduce(1, *))
            }
        }
        return owners
    }

    /// All ranks call this: the adapter as a PEFT directory, in the shapes of the model it was trained on.
    func writeAdapter(_ output: AdapterOutput, in paths: RunPaths) throws {
        marker.mark("writing the adapter")
        let writer = try isFirst ? output.makeWriter(in: paths) : nil
        try collect(output.tensors.map(\.name)) { try writer?.append($1, count: $2, to: $0) }
        try writer?.finish()
        try seat.training.barrier()
    }

    /// All ranks call this: the trained model as a checkpoint, frozen weights taken from `source` as they are.
    ///
    /// - Parameters:
    ///   - plan: of a structurally pruned model; it goes into the checkpoint, as does its label in config.json.
    ///   - masks: of a non-structurally pruned one; they go with it.
    public func writeModel(to path: String, source: any TensorSource, companionsFrom: String?, plan: PruningPlan?, masks: PruningMasks? = nil) throws {
        marker.mark("writing the model")
        let config = source.config, weights = WeightLayout.names(config)
        let writer = try isFirst
            ? CheckpointWriter(
                path: path, tensors: weights.map { TensorInfo(name: $0.name, dtype: config.dtype, shape: $0.shape) },
                configuration: config.configJSON(
                    pruning: plan.map { .init(method: $0.method, ratio: $0.ratio) }, from: (source as? Checkpoint)?.configuration),
                companionsFrom: companionsFrom)
            : nil
        if let masks { try writer?.link(PruningMasks.fileName, from: masks.path) }
        if let plan { try writer?.addFile(PruningPlan.fileName, Array(plan.serialized().utf8)) }
        let trained = try ownerStages()
        for (name, shape) in weights {
            if trained[name] != nil {
                try collect([name]) { try writer?.append(floats: $1, count: $2, to: $0) }
            } else if let writer {
                try copyFrozen(name, shape, source, writer)
            }
        }
        try writer?.finish()
        try seat.training.barrier()
    }

    private func copyFrozen(_ name: String, _ shape: [Int], _ source: any TensorSource, _ writer: CheckpointWriter) throws {
        let width = shape.dropFirst().reduce(1, *), rowsAtOnce = max(1, Self.pieceCount / width)
        let buffer = FloatBuffer(count: min(shape[0], rowsAtOnce) * width)
        for start in stride(from: 0, to: shape[0], by: rowsAtOnce) {
            let rows = start..<min(start + rowsAtOnce, shape[0])
            try source.copyFloats(name, shape: shape, rows: rows, into: buffer.base)
            try writer.append(floats: buffer.base, count: rows.count * width, to: name)
        }
    }
}

import LoRAMEngine

/// One rank's way through its layers of a model, one layer in memory at a time, with its share of the calibration sequences.
///
/// Each layer is a `ModelStage` of its own; activations at layer boundaries are kept here and cross pipeline stages as messages.
final class LayerWalk {
    let job: Job
    let model: ModelReference
    let source: any TensorSource
    let seat: ProcessGrid.Seat
    let partition: Partition
    /// This rank's, in order.
    let sequences: [MicroBatch]
    /// [sequence]: [N, D], what the next layer reads, or the gradient of what it reads.
    var streams: [FloatBuffer]
    /// Products in f32, whatever the recipe computes in: a score decides once and for all.
    let kernels: ComputeKernels
    private(set) var readByteCount = 0

    private static let boundaryTag = 11

    /// - Parameter source: `model`'s weights, or what a plan leaves of them.
    init(
        _ job: Job, model: ModelReference, source: any TensorSource, seat: ProcessGrid.Seat, partition: Partition, sequences: [MicroBatch]
    ) throws {
        self.job = job
        self.model = model
        self.source = source
        self.seat = seat
        self.partition = partition
        self.sequences = sequences
        kernels = try ComputeKernels(type: .f32, name: job.kernels.name)
        let hidden = source.config.hiddenSize
        streams = sequences.map { FloatBuffer(count: $0.tokenCount * hidden) }
        let stage = seat.position.stage
        let range = StageRange(layers: partition.layers[stage], isFirst: stage == 0, isLast: stage == partition.stages - 1)
        try job.stage(tensorsOf: [model.directory], for: [range], config: source.config)
        job.pool.setPoll(
            { Unmanaged<ProgressMarker>.fromOpaque($0!).takeUnretainedValue().touch() }, context: Unmanaged.passUnretained(job.marker).toOpaque())
    }

    deinit { job.pool.setPoll(nil, context: nil) }

    var config: LlamaConfig { source.config }
    var stage: Int { seat.position.stage }
    var isLast: Bool { stage == partition.stages - 1 }
    var layers: Range<Int> { partition.layers[stage] }

    /// One layer: its linear weights as trained tensors in f32, or all of it frozen.
    func makeLayer(_ layer: Int, trainsLinears: Bool) throws -> ModelStage {
        if model.isFile { readByteCount += model.storedByteCount(layer: layer) }
        let made = try make(
            StageRange(layers: layer..<layer + 1, isFirst: false, isLast: false),
            .dense(frozen: [NamePattern(trainsLinears ? "*norm*" : "*")]))
        model.release(made.range)
        return made
    }

    /// Final norm and head, frozen.
    func makeHead() throws -> ModelStage {
        countRead(WeightName.lmHead)
        return try make(StageRange(layers: config.layerCount..<config.layerCount, isFirst: false, isLast: true), .dense(frozen: [NamePattern("*")]))
    }

    private func countRead(_ name: String) {
        let shape = [config.vocabularySize, config.hiddenSize]
        guard model.isFile, let type = try? model.dtype(name, shape) else { return }
        readByteCount += shape[0] * shape[1] * type.byteCount
    }

    private func make(_ range: StageRange, _ training: Training) throws -> ModelStage {
        let longest = sequences.map(\.tokenCount).max() ?? 1
        return try ModelStage(
            source: source, range: range, training: training,
            capacity: StageCapacity(tokens: longest, positions: longest, recomputation: .none), pool: job.pool, kernels: kernels)
    }

    /// Fills the streams with what this stage's first layer reads.
    func begin() throws {
        guard stage == 0 else { return try receive(from: stage - 1) }
        countRead(WeightName.embedding)
        let embedding = try make(StageRange(layers: 0..<0, isFirst: true, isLast: false), .none(adapter: nil))
        for (sequence, stream) in zip(sequences, streams) {
            try embedding.load(sequence, slot: 0)
            embedding.forward(slot: 0, input: nil, output: stream.base)
        }
    }

    /// Hands the streams to another stage of the same replica, which calls `receive`.
    func send(to stage: Int) throws {
        for stream in streams { try seat.pipeline.send(UnsafePointer(stream.base), count: stream.count, to: stage, tag: Self.boundaryTag).wait() }
    }

    func receive(from stage: Int) throws {
        job.marker.mark("waiting for another stage")
        for stream in streams { try seat.pipeline.receive(into: stream.base, count: stream.count, from: stage, tag: Self.boundaryTag).wait() }
    }
}

import LoRAMEngine

/// Non-structured pruning, layer by layer: moments of the layer's inputs over all calibration sequences, masks and new weights, then the sequences
/// once more through the pruned layer, whose outputs the next one reads.
///
/// A rank's memory: one layer's weights, its moments (for SparseGPT one matrix an input group, times log2(groups / replicas) + 1), and its
/// sequences' activations at one boundary. Replicas share the sequences; moments are added in the order of the gradient groups, which is the same
/// on every grid. Every replica then prunes the layer for itself. Stages hand the activations on, and their layers to rank 0, which writes.
struct SparseWalk {
    private static let weightTag = 14, maskTag = 15
    private static let pieceCount = 4 << 20
    private static let bucketCount = 4 << 20

    private let walk: LayerWalk
    private let sparsifier: LayerSparsifier
    private let prunedLayers: Range<Int>
    private let groups: GradientGroups
    private let accumulators: [GroupAccumulator]
    private let moments: InputMoments?

    /// The cut of the sequences into groups and replicas: filled up with empty ones, so that every power of two up to `parallel.groups` goes.
    static func groups(sampleCount: Int, parallel: ParallelRecipe, replicas: Int) throws -> GradientGroups {
        var count = 1
        while count * 2 <= parallel.groups { count *= 2 }
        return try GradientGroups(
            globalBatch: (max(sampleCount, 1) + count - 1) / count * count, microBatch: 1, requestedGroups: count, replicas: replicas, mode: .reproducible)
    }

    /// - Parameter groups: of all sequences; the walk has this replica's.
    init(_ walk: LayerWalk, sparsifier: LayerSparsifier, prunedLayers: Range<Int>, groups: GradientGroups) throws {
        self.walk = walk
        self.sparsifier = sparsifier
        self.prunedLayers = prunedLayers
        self.groups = groups
        let config = walk.config, score = sparsifier.score
        guard score.needsCalibration else {
            (accumulators, moments) = ([], nil)
            return
        }
        let widths = InputGroup.allCases.map { $0.inputCount(config, layer: 0) }
        accumulators = widths.map { GroupAccumulator(count: score.momentCount(inputs: $0), groupCount: groups.groupsPerReplica) }
        moments = try InputMoments(
            score: score, inputs: widths.max()!, tokens: walk.sequences.map(\.tokenCount).max() ?? 1, pool: walk.job.pool, kernels: walk.kernels)
    }

    /// All ranks of the grid call this. `output`: rank 0's.
    func run(_ output: SparseCheckpointWriter?) throws {
        if moments != nil { try walk.begin() }
        for layer in walk.layers { try prune(layer, output) }
        if moments != nil, !walk.isLast { try walk.send(to: walk.stage + 1) }
        guard let output else { return }
        for stage in 1..<max(walk.partition.stages, 1) {
            for layer in walk.partition.layers[stage] { try receive(layer, from: stage, output) }
        }
        try output.finish()
    }

    private func prune(_ layer: Int, _ output: SparseCheckpointWriter?) throws {
        let marker = walk.job.marker
        let stage = try walk.makeLayer(layer, trainsLinears: true)
        if prunedLayers.contains(layer) {
            marker.mark("moments of layer")
            let sums = try collectMoments(stage)
            marker.mark("pruning layer")
            var weights: [LinearSite: UnsafeMutablePointer<Float>] = [:]
            for site in LinearSite.inLayer { weights[site] = stage.parameters + tensor(site, layer, stage).offset }
            let masks = try sparsifier.prune(layer: layer, config: walk.config, weights: weights, moments: sums, pool: walk.job.pool)
            for site in LinearSite.inLayer {
                let tensor = tensor(site, layer, stage)
                // What is stored is what the next layer's inputs come from.
                FloatConversion.round(weights[site]!, count: tensor.count, to: try walk.model.dtype(tensor.name, tensor.shape))
                try emit(site, layer, UnsafePointer(weights[site]!), count: tensor.count, masks[site]!, output)
            }
            try output?.finishLayer(layer)
            if walk.stage == 0, walk.seat.position.replica == 0 { walk.job.note("layer \(layer + 1) of \(walk.config.layerCount) pruned") }
        } else {
            try output?.copyLayer(layer)
        }
        guard moments != nil else { return }
        marker.mark("forward through layer")
        for (sequence, stream) in zip(walk.sequences, walk.streams) {
            try stage.load(sequence, slot: 0)
            stage.forward(slot: 0, input: UnsafePointer(stream.base), output: stream.base)
        }
    }

    private func tensor(_ site: LinearSite, _ layer: Int, _ stage: ModelStage) -> ParameterLayout.Tensor {
        stage.layout.tensor(named: "\(site.modulePath(layer: layer)).weight")!
    }

    /// Sums over all sequences of all replicas.
    private func collectMoments(_ stage: ModelStage) throws -> [InputGroup: UnsafeMutablePointer<Float>]? {
        guard let moments else { return nil }
        for accumulator in accumulators { accumulator.reset() }
        let replica = walk.seat.position.replica, layer = stage.range.layers.lowerBound
        for index in groups.microBatches(replica: replica).indices {
            let local = index - groups.microBatches(replica: replica).lowerBound
            if local < walk.sequences.count {
                try stage.load(walk.sequences[local], slot: 0)
                stage.forward(slot: 0, input: UnsafePointer(walk.streams[local].base), output: nil)
                for group in InputGroup.allCases {
                    moments.add(
                        stage.linearInput(group, layer: 0, slot: 0), rows: stage.tokenCount(slot: 0), inputs: group.inputCount(walk.config, layer: layer),
                        to: accumulators[group.rawValue].current)
                }
            }
            if groups.endsGroup(localMicroBatch: local, replica: replica) { for accumulator in accumulators { accumulator.finishGroup() } }
        }
        let reducer = ReproducibleReducer(replicas: walk.seat.replicas, maxBucketCount: Self.bucketCount, marker: walk.job.marker)
        for accumulator in accumulators {
            for start in stride(from: 0, to: accumulator.count, by: Self.bucketCount) {
                try reducer.start(start..<min(start + Self.bucketCount, accumulator.count), of: accumulator.total)
            }
            try reducer.finish()
        }
        return Dictionary(uniqueKeysWithValues: InputGroup.allCases.map { ($0, accumulators[$0.rawValue].total) })
    }

    // MARK: - To rank 0

    private func emit(
        _ site: LinearSite, _ layer: Int, _ values: UnsafePointer<Float>, count: Int, _ mask: MaskBits, _ output: SparseCheckpointWriter?
    ) throws {
        if let output { return try output.append(site, layer: layer, values: values, mask: UnsafePointer(mask.bytes)) }
        guard walk.seat.position.replica == 0 else { return }
        let pipeline = walk.seat.pipeline
        for start in stride(from: 0, to: count, by: Self.pieceCount) {
            try pipeline.send(values + start, count: min(Self.pieceCount, count - start), to: 0, tag: Self.weightTag).wait()
        }
        try pipeline.send(UnsafePointer(mask.bytes), count: mask.byteCount, to: 0, tag: Self.maskTag).wait()
    }

    private func receive(_ layer: Int, from stage: Int, _ output: SparseCheckpointWriter) throws {
        guard prunedLayers.contains(layer) else { return try output.copyLayer(layer) }
        walk.job.marker.mark("waiting for layer")
        let pipeline = walk.seat.pipeline
        for site in LinearSite.inLayer {
            let shape = site.shape(in: walk.config, layer: layer), count = shape.out * shape.in
            let values = FloatBuffer(count: count), mask = MaskBits(rows: shape.out, columns: shape.in)
            for start in stride(from: 0, to: count, by: Self.pieceCount) {
                try pipeline.receive(into: values.base + start, count: min(Self.pieceCount, count - start), from: stage, tag: Self.weightTag).wait()
            }
            try pipeline.receive(into: mask.bytes, count: mask.byteCount, from: stage, tag: Self.maskTag).wait()
            try output.append(site, layer: layer, values: UnsafePointer(values.base), mask: UnsafePointer(mask.bytes))
        }
        try output.finishLayer(layer)
        walk.job.note("layer \(layer + 1) of \(walk.config.layerCount) pruned")
    }
}

import Foundation
import LoRAMEngine

/// Importances of all pruned layers by one forward and one backward pass over the calibration sequences.
///
/// A rank's memory: one layer's weights and their gradient (and the sum of its squares and one sample's gradient, for `param_second` and
/// `param_mix`), beside its sequences' inputs of its layers. The backward pass makes a layer's gradient, reduces it to scores and forgets it.
///
/// Replicas share the sequences. A layer's gradient goes from replica to replica, each adding its sequences, while those before are at the next
/// layer already: sequences are added in their order on every grid, so bits are the same for any number of replicas.
struct ImportanceWalk {
    private static let gradientTag = 12, squareTag = 13

    private let walk: LayerWalk
    private let settings: LayerImportance.Settings
    private let prunedLayers: Range<Int>
    /// Of all replicas.
    private let targetCount: Int
    private let sampleCount: Int

    init(_ walk: LayerWalk, settings: LayerImportance.Settings, prunedLayers: Range<Int>, calibration: CalibrationData) {
        self.walk = walk
        self.settings = settings
        self.prunedLayers = prunedLayers
        targetCount = calibration.targetCount
        sampleCount = calibration.sequences.count
    }

    /// All ranks of the grid call this. Rank 0 gets one entry a pruned layer, the others nil.
    func run() throws -> [LayerImportance]? {
        var inputs = try forward()
        if walk.isLast { try headGradient() } else if sendsGradient(walk.stage + 1) { try walk.receive(from: walk.stage + 1) }
        var found: [LayerImportance] = []
        for layer in walk.layers.reversed() where layer >= prunedLayers.lowerBound {
            walk.job.marker.mark("importances")
            if let importance = try backward(layer, inputs: inputs.removeLast()) { found.append(importance) }
        }
        if sendsGradient(walk.stage) { try walk.send(to: walk.stage - 1) }
        return try gather(found.reversed())
    }

    /// Whether the stage before has a layer that needs the gradient.
    private func sendsGradient(_ stage: Int) -> Bool { stage > 0 && walk.partition.layers[stage].lowerBound > prunedLayers.lowerBound }

    /// Returns what each of the stage's layers read, from the first pruned one on: [layer][sequence].
    private func forward() throws -> [[FloatBuffer]] {
        try walk.begin()
        var inputs: [[FloatBuffer]] = []
        for layer in walk.layers {
            walk.job.marker.mark("forward through layer")
            if layer >= prunedLayers.lowerBound {
                inputs.append(walk.streams)
                walk.streams = walk.streams.map { FloatBuffer(count: $0.count) }
            }
            let stage = try walk.makeLayer(layer, trainsLinears: false)
            for (index, sequence) in walk.sequences.enumerated() {
                try stage.load(sequence, slot: 0)
                let input = layer >= prunedLayers.lowerBound ? inputs[inputs.count - 1][index] : walk.streams[index]
                stage.forward(slot: 0, input: UnsafePointer(input.base), output: walk.streams[index].base)
            }
            // Frozen weights lie in the file, and the products have brought their pages back.
            walk.model.release(stage.range)
        }
        if !walk.isLast { try walk.send(to: walk.stage + 1) }
        return inputs
    }

    /// The streams become the gradients of the summed loss.
    private func headGradient() throws {
        let head = try walk.makeHead()
        for (sequence, stream) in zip(walk.sequences, walk.streams) {
            try head.load(sequence, slot: 0)
            head.forward(slot: 0, input: UnsafePointer(stream.base), output: nil)
            head.backward(slot: 0, outputGradient: nil, inputGradient: stream.base)
        }
    }

    /// Takes the streams' gradients through a layer. The last replica gets its scores.
    private func backward(_ layer: Int, inputs: [FloatBuffer]) throws -> LayerImportance? {
        let isPruned = prunedLayers.contains(layer), replicas = walk.seat.replicas
        let stage = try walk.makeLayer(layer, trainsLinears: isPruned)
        let count = stage.layout.count
        let gradient = FloatBuffer(count: count), squares = settings.needsSquares ? FloatBuffer(count: count) : nil
        let sample = squares.map { _ in FloatBuffer(count: count) }
        if isPruned, replicas.rank > 0 {
            try replicas.receive(into: gradient.base, count: count, from: replicas.rank - 1, tag: Self.gradientTag).wait()
            if let squares { try replicas.receive(into: squares.base, count: count, from: replicas.rank - 1, tag: Self.squareTag).wait() }
        }
        for (index, sequence) in walk.sequences.enumerated() {
            try stage.load(sequence, slot: 0)
            stage.forward(slot: 0, input: UnsafePointer(inputs[index].base), output: nil)
            sample?.base.update(repeating: 0, count: count)
            stage.gradients = (sample ?? gradient).base
            let stream = walk.streams[index].base
            stage.backward(slot: 0, outputGradient: UnsafePointer(stream), inputGradient: stream)
            if let sample, let squares {
                accumulate(sample.base, gradient.base, squares.base, count: count, targets: stage.targetCount(slot: 0))
            }
        }
        guard isPruned else {
            walk.model.release(stage.range)
            return nil
        }
        guard replicas.rank == replicas.size - 1 else {
            try replicas.send(UnsafePointer(gradient.base), count: count, to: replicas.rank + 1, tag: Self.gradientTag).wait()
            if let squares { try replicas.send(UnsafePointer(squares.base), count: count, to: replicas.rank + 1, tag: Self.squareTag).wait() }
            return nil
        }
        return try LayerImportance(
            settings, stage: stage, layer: layer, gradients: UnsafePointer(gradient.base), squares: squares.map { UnsafePointer($0.base) },
            targetCount: targetCount, sampleCount: sampleCount)
    }

    /// gradient += sample; squares += (sample / targets)^2.
    private func accumulate(
        _ sample: UnsafeMutablePointer<Float>, _ gradient: UnsafeMutablePointer<Float>, _ squares: UnsafeMutablePointer<Float>, count: Int,
        targets: Int
    ) {
        let scale = 1 / Float(max(targets, 1))
        walk.job.pool.runBlocks(count, of: 1 << 16) { range, _ in
            var index = range.lowerBound
            while index < range.upperBound {
                let value = sample[index]
                gradient[index] += value
                let mean = value * scale
                squares[index] += mean * mean
                index &+= 1
            }
        }
    }

    /// Brings the stages' scores to rank 0.
    private func gather(_ own: [LayerImportance]) throws -> [LayerImportance]? {
        let values = own.flatMap(\.values)
        guard let parts = try walk.seat.training.gather(values.withUnsafeBytes { Data($0) }, root: 0) else { return nil }
        let geometry = walk.config.layers[prunedLayers.lowerBound]
        let all: [Double] = parts.flatMap { part in part.withUnsafeBytes { bytes in (0..<bytes.count / 8).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: Double.self) } } }
        let width = geometry.keyValueHeadCount + geometry.intermediateSize
        precondition(all.count == width * prunedLayers.count, "scores of every pruned layer")
        return stride(from: 0, to: all.count, by: width).map {
            LayerImportance(values: all[$0..<$0 + width], headCount: geometry.keyValueHeadCount)
        }
    }
}

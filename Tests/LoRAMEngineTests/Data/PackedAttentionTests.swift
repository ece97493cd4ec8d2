import LoRAMEngine
import TestSupport
import Testing

/// Several samples in one window: each is seen as if it stood alone.
@Suite struct PackedAttentionTests {
    private static let length = 60
    private let directory: TemporaryDirectory
    private let source = SyntheticWeights(config: SmallModel.config(dtype: .f32), seed: 4)

    init() throws { directory = try TemporaryDirectory() }

    /// Instructions of different lengths, packed by first fit into windows.
    private func windows() throws -> MicroBatch {
        var random = LinearCongruentialGenerator(seed: 8)
        let lines = (0..<40).map { _ in
            let count = 3 + random.below(random.below(3) == 0 ? 50 : 15)
            let ids = (0..<count).map { _ in random.below(23) }
            return "{\"input_ids\": \(ids), \"labels\": \(ids.enumerated().map { $0.offset % 3 == 0 ? -100 : $0.element })}"
        }
        let path = try directory.write(lines.joined(separator: "\n"), "t.jsonl")
        let data = try TrainingData(path, length: Self.length, packing: true, tokenizer: nil, vocabularySize: 23)
        return try data.microBatch(update: 1, microBatchIndex: 0, microBatchSize: data.samplesPerEpoch, globalBatchSize: data.samplesPerEpoch)
    }

    private func stage(_ batch: MicroBatch, _ training: Training) throws -> ModelStage {
        try ModelStage(
            source: source, range: .whole(source.config), training: training, capacity: StageCapacity(tokens: batch.tokenCount, positions: Self.length),
            pool: ThreadPool(threadCount: 1), kernels: ComputeKernels())
    }

    private func losses(_ stage: ModelStage, _ batch: MicroBatch) throws -> [Double] {
        try stage.load(batch, slot: 0)
        stage.forward(slot: 0, input: nil, output: nil, evaluating: true)
        return stage.evaluateTokenLosses(slot: 0)
    }

    /// One segment as a micro-batch of its own.
    private func alone(_ batch: MicroBatch, _ segment: MicroBatch.Segment) -> MicroBatch {
        let range = segment.start..<segment.start + segment.count
        return MicroBatch(
            tokenIDs: Array(batch.tokenIDs[range]), labels: Array(batch.labels[range]), segments: [.init(start: 0, count: segment.count)],
            samples: [.init(start: 0, count: segment.count, sampleID: 0)])
    }

    @Test func lossesAreThoseOfSeparateSamples() throws {
        let batch = try windows()
        // Windows are shared, or nothing would be shown.
        #expect(batch.segments.count >= 2 * batch.samples.count && batch.samples.allSatisfy { $0.count <= Self.length })
        let stage = try stage(batch, .none(adapter: nil))
        let together = try losses(stage, batch), apart = try batch.segments.flatMap { try losses(stage, alone(batch, $0)) }
        #expect(together.count == apart.count && together.count == batch.targetCount)
        for (a, b) in zip(together, apart) { #expect(abs(a - b) < 1e-5 * max(1, b)) }
    }

    /// Other tokens in one segment change no bit of the others' losses.
    @Test func segmentsDoNotSeeEachOther() throws {
        let batch = try windows(), stage = try stage(batch, .none(adapter: nil)), before = try losses(stage, batch)
        var changed = batch
        let victim = batch.segments[batch.segments.count / 2]
        for position in victim.start..<victim.start + victim.count { changed.tokenIDs[position] = (changed.tokenIDs[position] + 7) % 23 }
        let after = try losses(stage, changed)
        var row = 0, differ = 0
        for segment in batch.segments {
            for position in segment.start..<segment.start + segment.count where batch.labels[position] != MicroBatch.ignoredLabel {
                if segment == victim { differ += before[row] != after[row] ? 1 : 0 } else { #expect(before[row] == after[row], "position \(position)") }
                row += 1
            }
        }
        #expect(differ > 0)
    }

    @Test func gradientsAreThoseOfSeparateSamples() throws {
        let batch = try windows()
        func gradients(_ batches: [MicroBatch]) throws -> [Float] {
            let stage = try stage(batch, .dense(frozen: []))
            var gradients = [Float](repeating: 0, count: stage.layout.count)
            try gradients.withUnsafeMutableBufferPointer { buffer in
                stage.gradients = buffer.baseAddress!
                for batch in batches {
                    try stage.load(batch, slot: 0)
                    stage.forward(slot: 0, input: nil, output: nil)
                    stage.backward(slot: 0, outputGradient: nil, inputGradient: nil)
                }
            }
            return gradients
        }
        #expect(try relativeError(gradients([batch]), gradients(batch.segments.map { alone(batch, $0) })) < 1e-5)
    }
}

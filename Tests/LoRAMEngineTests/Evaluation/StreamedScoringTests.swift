import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Layer by layer or all at once: the same bits.
@Suite struct StreamedScoringTests {
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func streamed(_ fixture: ParityFixture, adapter: Adapter?, threads: Int = 1, limit: Int? = nil, readsWhole: Bool = false) throws -> [[Double]] {
        try StreamedScoring(
            model: .open(fixture.source.directory), adapter: adapter,
            settings: .init(
                capacity: StageCapacity(tokens: fixture.tokenCapacity, positions: fixture.positionCapacity), memoryByteCount: limit, spillDirectory: directory.path),
            pool: ThreadPool(threadCount: threads), kernels: ComputeKernels(), readsWhole: readsWhole
        ).tokenLosses(fixture.batches)
    }

    private func resident(_ fixture: ParityFixture, adapter: Adapter?) throws -> [[Double]] {
        let stage = try fixture.stage(.none(adapter: adapter?.lora))
        return try fixture.batches.map { batch in
            try stage.load(batch, slot: 0)
            stage.forward(slot: 0, input: nil, output: nil, evaluating: true)
            return stage.evaluateTokenLosses(slot: 0)
        }
    }

    @Test(arguments: ParityFixture.names) func sameBitsAsResident(_ name: String) throws {
        let fixture = try ParityFixture(name)
        for adapter in [nil, fixture.adapter] {
            let expected = try resident(fixture, adapter: adapter)
            #expect(expected.allSatisfy { !$0.isEmpty })
            #expect(try streamed(fixture, adapter: adapter) == expected)
            #expect(try streamed(fixture, adapter: adapter, threads: 2, readsWhole: true) == expected)
        }
    }

    /// With room for no activations, for some and for all but one float.
    @Test func activationsGoToAFile() throws {
        let fixture = try ParityFixture("pruned"), expected = try resident(fixture, adapter: fixture.adapter)
        let memory = try memory(fixture)
        let first = fixture.batches[0].tokenCount * fixture.source.config.hiddenSize * 4
        #expect(fixture.batches.count > 1)
        for extra in [0, first, memory.activations - 1, memory.activations] {
            #expect(try streamed(fixture, adapter: fixture.adapter, limit: memory.least + extra) == expected)
        }
        // Nothing is left in the directory.
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    private func memory(_ fixture: ParityFixture) throws -> StreamedMemory {
        try StreamedScoring(
            model: .open(fixture.source.directory), adapter: fixture.adapter,
            settings: .init(capacity: StageCapacity(tokens: fixture.tokenCapacity, positions: fixture.positionCapacity)),
            pool: ThreadPool(threadCount: 1), kernels: ComputeKernels()
        ).memory(tokens: fixture.batches.reduce(0) { $0 + $1.tokenCount })
    }

    @Test func tooLittleMemoryIsSaidBeforehand() throws {
        let fixture = try ParityFixture("llama2")
        #expect(throws: EvaluationError.self) { try streamed(fixture, adapter: nil, limit: 1 << 20) }
        #expect(throws: FileError.self) {
            try StreamedScoring(
                model: .open(fixture.source.directory), adapter: fixture.adapter,
                settings: .init(
                    capacity: StageCapacity(tokens: fixture.tokenCapacity, positions: fixture.positionCapacity),
                    memoryByteCount: memory(fixture).least, spillDirectory: directory.path("missing")),
                pool: ThreadPool(threadCount: 1), kernels: ComputeKernels()
            ).tokenLosses(fixture.batches)
        }
    }

    /// A weight of the last layer is found to be no number while layers before it are computed.
    @Test func badWeightsEndInAnError() throws {
        let path = directory.path("model")
        try SmallModel.write(SmallModel.config(), to: path) { name, values in
            if name == "model.layers.6.mlp.down_proj.weight" { values[5] = .nan }
        }
        let batch = MicroBatch(
            tokenIDs: [1, 2, 3], labels: [2, 3, 4], segments: [.init(start: 0, count: 3)], samples: [.init(start: 0, count: 3, sampleID: 0)])
        #expect(throws: CheckpointError.self) {
            try StreamedScoring(
                model: .open(path), settings: .init(capacity: StageCapacity(tokens: 3, positions: 3)), pool: ThreadPool(threadCount: 1),
                kernels: ComputeKernels()
            ).tokenLosses([batch])
        }
    }

    /// Counted from shapes: 70B at any depth.
    @Test func countedMemoryDoesNotGrowWithDepth() throws {
        let kernels = try ComputeKernels(), base = try ModelReference.config("llama-2-70b")
        let memories = [4, 80].map { layers in
            var config = base
            config.layers = Array(base.layers.prefix(layers))
            return StreamedMemory(
                config: config, capacity: StageCapacity(tokens: 2048, positions: 2048), weights: WeightBytes(), kernels: kernels, workers: 2, tokens: 100_000)
        }
        #expect(memories[0].total == memories[1].total)
        // Two layers in bf16.
        #expect(memories[1].weights == 4 * (base.parameterCount(of: base.layers[0]) - 2 * base.hiddenSize))
        #expect(memories[1].activations == 100_000 * 8192 * 4)
    }
}

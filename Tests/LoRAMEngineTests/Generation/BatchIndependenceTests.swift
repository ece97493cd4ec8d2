import LoRAMEngine
import TestSupport
import Testing

/// A sequence's logits have the same bits whatever else is under way, and wherever its first tokens came from.
@Suite struct BatchIndependenceTests {
    enum Form: String, CaseIterable, Sendable { case f32, bf16, nf4 }

    /// Grouped heads; sizes that fill no vector and no block of NF4.
    static func stage(_ form: Form, threads: Int = 2, kernels: String? = nil) throws -> ModelStage {
        let geometries = [(8, 2, 100), (4, 2, 72), (8, 4, 100)].map { LayerGeometry(headCount: $0, keyValueHeadCount: $1, intermediateSize: $2) }
        let config = LlamaConfig(
            hiddenSize: 72, vocabularySize: 211, headDim: 12, maxPositionCount: 1024, layers: geometries, rmsNormEpsilon: 1e-5,
            rope: RoPEConfig(theta: 10000), tiesWordEmbeddings: false, dtype: form == .f32 ? .f32 : .bf16)
        let lora = LoRAConfig(rank: 3, alpha: 6, targets: LinearSite.allCases)
        let stage = try ModelStage(
            source: SyntheticWeights(config: config, seed: 5), range: .whole(config), training: .none(adapter: lora),
            capacity: StageCapacity(tokens: 400, positions: 400), pool: ThreadPool(threadCount: threads),
            kernels: ComputeKernels(type: form == .f32 ? .f32 : .bf16, name: kernels), storage: WeightStorage(quantizer: form == .nf4 ? Quantizer() : nil))
        CounterRandom(seed: 1, name: "adapter").fillNormal(stage.parameters, count: stage.layout.count, deviation: 0.1)
        return stage
    }

    static func prompts(_ lengths: [Int], vocabularySize: Int = 211) -> [[Int32]] {
        var random = LinearCongruentialGenerator(seed: 3)
        return lengths.map { [1] + (1..<$0).map { _ in Int32(3 + random.below(vocabularySize - 3)) } }
    }

    private static func logits(_ stage: ModelStage, _ prompts: [[Int32]], slots: Int) throws -> [[[UInt32]]] {
        var seen = prompts.map { _ in [[UInt32]]() }
        _ = try Generating.run(stage, prompts, GenerationSettings(maxTokens: 6), slots: slots, stopTokenIDs: []) { seen[$0].append($1.map(\.bitPattern)) }
        return seen
    }

    @Test(arguments: Form.allCases, ComputeKernels.availableNames) func theSameBitsInEveryBatch(_ form: Form, _ kernels: String) throws {
        let stage = try Self.stage(form, kernels: kernels)
        // One beginning in common, and the prompts of many others' lengths.
        let start = Self.prompts([260])[0]
        let prompts = Self.prompts([2, 15, 16, 17, 33, 128, 129, 200]) + [start + [7, 8], start, start + [9], start]
        let alone = try prompts.map { try Self.logits(stage, [$0], slots: 1)[0] }
        for slots in [1, 3, 16] { #expect(try Self.logits(stage, prompts, slots: slots) == alone, "\(slots) slots") }
        let threaded = try Self.logits(Self.stage(form, threads: 3, kernels: kernels), prompts, slots: 20)
        #expect(threaded == alone)
    }

    /// Step by step, the cache gives what the whole text gives at once.
    @Test(arguments: zip(Form.allCases, [1e-5, 3e-2, 3e-2])) func theCacheStandsForTheText(_ form: Form, _ tolerance: Double) throws {
        let stage = try Self.stage(form), prompt = Self.prompts([150])[0]
        var steps: [[Float]] = []
        let completion = try Generating.run(stage, [prompt], GenerationSettings(maxTokens: 12), stopTokenIDs: []) { steps.append($1) }[0]
        let text = prompt + completion.tokenIDs.dropLast(), count = text.count, vocabularySize = stage.config.vocabularySize
        try stage.load(
            MicroBatch(
                tokenIDs: text, labels: Array(repeating: MicroBatch.ignoredLabel, count: count), segments: [.init(start: 0, count: count)],
                samples: [.init(start: 0, count: count, sampleID: 0)]), slot: 0)
        stage.forward(slot: 0, input: nil, output: nil, evaluating: true)
        var whole = [Float](repeating: 0, count: count * vocabularySize)
        whole.withUnsafeMutableBufferPointer { stage.logits(slot: 0, into: $0.baseAddress!) }
        for (index, found) in steps.enumerated() {
            let row = (prompt.count - 1 + index) * vocabularySize
            #expect(relativeError(found, Array(whole[row..<row + vocabularySize])) < tolerance)
        }
    }
}

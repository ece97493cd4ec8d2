import LoRAMEngine
import TestSupport
import Testing

/// Greedy tokens beside transformers' `generate`, in f32.
@Suite struct GreedyReferenceTests {
    private func check(_ fixtures: [GenerationFixture], _ stage: ModelStage, slots: Int, tokenizer: any Tokenizer = ByteTokenizer()) throws {
        try #require(!fixtures.isEmpty)
        let completions = try Generating.run(stage, fixtures.map(\.prompt), GenerationSettings(maxTokens: 200), tokenizer: tokenizer, slots: slots)
        for (completion, fixture) in zip(completions, fixtures) {
            let endsItself = fixture.tokens.last == 2
            #expect(completion.tokenIDs == (endsItself ? fixture.tokens.dropLast() : fixture.tokens), "prompt of \(fixture.prompt.count) tokens")
            #expect(completion.end == (endsItself ? .stopToken : .maxTokens))
            if let continuation = fixture.continuation { #expect(completion.text == continuation) }
        }
    }

    /// Grouped heads, odd sizes, layers of different shapes; prompts of all lengths together.
    @Test(arguments: ParityFixture.names) func smallModels(_ name: String) throws {
        let fixture = try ParityFixture(name)
        try check(GenerationFixture.of(name), fixture.stage(.none(adapter: nil), threads: 2), slots: 16)
    }

    @Test(arguments: ParityFixture.names) func adapterNotMerged(_ name: String) throws {
        let fixture = try ParityFixture(name)
        try check(GenerationFixture.of(name, adapter: true), fixture.stage(.none(adapter: fixture.adapter.lora)), slots: 2)
    }

    @Test(arguments: ComputeKernels.availableNames) func everyKernelSet(_ kernels: String) throws {
        let fixture = try ParityFixture("llama31")
        try check(GenerationFixture.of("llama31"), fixture.stage(.none(adapter: nil), kernels: kernels), slots: 3)
    }

    @Test(.enabled(if: SharedData.path("models/stories260K") != nil, "shared data are absent")) func pretrainedModel() throws {
        let path = SharedData.path("models/stories260K")!, source = try Checkpoint(directory: path)
        let stage = try ModelStage(
            source: source, range: .whole(source.config), training: .none(adapter: nil), capacity: StageCapacity(tokens: 1, positions: 1),
            pool: ThreadPool(threadCount: 2), kernels: ComputeKernels())
        let fixtures = try GenerationFixture.of("stories260K")
        #expect(fixtures.allSatisfy { $0.tokens.count == 200 } && fixtures.contains { $0.prompt.count > GenerationStage.promptChunk })
        try check(fixtures, stage, slots: 2, tokenizer: TokenizerLoader.load(path: path))
    }
}

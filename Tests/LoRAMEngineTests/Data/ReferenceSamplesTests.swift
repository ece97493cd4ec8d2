import LoRAMEngine
import TestSupport
import Testing

/// Samples equal to those of a straightforward implementation over the reference tokenizer (Tests/fixtures-src/data_samples.py).
@Suite struct ReferenceSamplesTests {
    private func expected(_ name: String) throws -> (samples: [ExpectedSample], truncated: Int?, dropped: Int?) {
        let value = try DataFixture.json("samples.json")[name]!
        let samples = value["samples"]!.arrayValue!.map {
            ExpectedSample(segments: $0["segments"]!.arrayValue!.map(\.ids), labels: $0["labels"]!.ids)
        }
        return (samples, value["truncated"]?.intValue, value["dropped"]?.intValue)
    }

    private func check(_ name: String, _ data: TrainingData) throws {
        let (samples, truncated, dropped) = try expected(name)
        #expect(data.samplesPerEpoch == samples.count, "\(name)")
        let found = try data.epoch()
        for (found, expected) in zip(found, samples) { #expect(found == expected, "\(name)") }
        #expect(data.statistics.truncated == truncated, "\(name)")
        #expect(data.statistics.dropped == dropped, "\(name)")
        if let tokens = data.statistics.tokens { #expect(tokens == found.reduce(0) { $0 + $1.labels.count }, "\(name)") }
    }

    private func training(
        _ file: String, template: PromptTemplate = .alpaca, length: Int, packing: Bool = false, answersOnly: Bool = true
    ) throws -> TrainingData {
        try TrainingData(
            DataFixture.path(file), template: template, length: length, packing: packing, answersOnly: answersOnly,
            tokenizer: DataFixture.tokenizer("llama_like"), vocabularySize: 480)
    }

    @Test func alpacaSamples() throws {
        try check("alpaca 512", training("alpaca.json", length: 512))
        try check("alpaca 512 all", training("alpaca.json", length: 512, answersOnly: false))
        try check("alpaca 256", training("alpaca.json", length: 256))
        try check("alpaca 256 all", training("alpaca.json", length: 256, answersOnly: false))
        try check("alpaca none 64", training("alpaca.json", template: .none, length: 64))
        try check("alpaca packed 600", training("alpaca.json", length: 600, packing: true))
    }

    @Test func documentSamples() throws {
        try check("text 64", training("documents.jsonl", length: 64))
        try check("text packed 48", training("documents.jsonl", length: 48, packing: true))
        try check("plain 32", training("plain.txt", length: 32))
        try check("plain packed 32", training("plain.txt", length: 32, packing: true))
    }

    @Test func scoringWindows() throws {
        func check(_ name: String, _ file: String, _ length: Int, answersOnly: Bool = true, addsBOS: Bool = true) throws {
            let data = try EvaluationData(
                configuration: .init(
                    path: DataFixture.path(file), answersOnly: answersOnly, length: length, addsBOS: addsBOS),
                tokenizer: DataFixture.tokenizer("llama_like"), vocabularySize: 480, bosTokenID: 1)
            let samples = try expected(name).samples
            #expect(data.windowCount == samples.count, "\(name)")
            for size in [1, 3, 100] {
                let found = try (0..<data.microBatchCount(size: size)).flatMap { try data.microBatch($0, size: size).unpacked() }
                #expect(found == samples, "\(name)")
            }
        }
        try check("score text 32", "documents.jsonl", 32)
        try check("score text 32 no bos", "documents.jsonl", 32, addsBOS: false)
        try check("score plain 50", "plain.txt", 50)
        try check("score alpaca 96", "alpaca.json", 96)
        try check("score alpaca 96 all", "alpaca.json", 96, answersOnly: false)
    }

    @Test(.enabled(if: SharedData.path("sft/alpaca_5000.json") != nil, "shared data are absent"))
    func realAlpacaHasOneSampleARecord() throws {
        let data = try TrainingData(
            SharedData.path("sft/alpaca_5000.json")!, length: 512, shuffle: true,
            tokenizer: TokenizerLoader.load(path: SharedData.path("tokenizers/llama-2")!), vocabularySize: 32000)
        #expect(data.samplesPerEpoch == 5000)
        #expect(data.formats == [.alpaca])
        let batch = try data.microBatch(update: 3, microBatchIndex: 1, microBatchSize: 16, globalBatchSize: 32)
        #expect(batch.samples.count == 16)
        for sample in batch.samples {
            let end = sample.start + sample.count
            #expect(batch.tokenIDs[sample.start] == 1)
            #expect(sample.count == 512 || batch.tokenIDs[end - 1] == 2)
            // The prompt carries no loss: it is the same for all up to the instruction.
            #expect(batch.labels[sample.start..<sample.start + 30].allSatisfy { $0 == MicroBatch.ignoredLabel })
        }
    }
}

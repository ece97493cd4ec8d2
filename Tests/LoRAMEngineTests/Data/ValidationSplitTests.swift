import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Training and validation share a file's records out between them.
@Suite struct ValidationSplitTests {
    @Test(arguments: [0.1, 0.5, 0.001, 0.999]) func sidesCoverTheFile(share: Double) throws {
        let directory = try TemporaryDirectory()
        let texts = (0..<50).map { "record \($0)" }
        let path = try directory.write(texts.map { #"{"text": "\#($0)"}"# }.joined(separator: "\n"), "t.jsonl")
        let split = ValidationSplit(share: share, seed: 3)
        for packing in [false, true] {
            var configuration = DataConfiguration(sources: [.init(path: path)], length: 64, packing: packing, shuffle: false)
            configuration.validation = split
            let training = try TrainingData(configuration: configuration, tokenizer: ByteTokenizer(), vocabularySize: 300, bosTokenID: 1, eosTokenID: 2, seed: 0)
            var evaluated = EvaluationData.Configuration(path: path, length: 64)
            evaluated.split = split
            let validation = try EvaluationData(configuration: evaluated, tokenizer: ByteTokenizer(), vocabularySize: 300, bosTokenID: 1)
            let tokenizer = ByteTokenizer()
            let trained = try training.epoch().map { $0.segments.map { tokenizer.decode($0) }.joined() }.joined(separator: packing ? "" : "|")
            let held = try (0..<validation.windowCount).map { tokenizer.decode(try validation.microBatch($0, size: 1).tokenIDs) }
            #expect(held.count == min(max(Int((50 * share).rounded()), 1), 49))
            #expect(training.statistics.records == 50 - held.count)
            let remaining = texts.filter { !held.contains($0) }
            #expect(trained == remaining.joined(separator: packing ? "" : "|"))
        }
    }

    @Test func refusesWhatCannotBeSplit() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(#"{"text": "only one"}"#, "t.jsonl")
        for share in [0.5, 0, 1, .nan] {
            var configuration = DataConfiguration(sources: [.init(path: path)], length: 64)
            configuration.validation = ValidationSplit(share: share, seed: 0)
            #expect(throws: DatasetError.self) {
                try TrainingData(configuration: configuration, tokenizer: ByteTokenizer(), vocabularySize: 300, bosTokenID: 1, eosTokenID: 2, seed: 0)
            }
        }
    }
}

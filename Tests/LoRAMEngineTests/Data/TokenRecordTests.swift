import LoRAMEngine
import TestSupport
import Testing

/// `input_ids` data: used as they are.
@Suite struct TokenRecordTests {
    @Test func keepsRecordsAsTheyAre() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(
            """
            {"input_ids": [5, 6, 7, 8]}
            {"input_ids": [1, 9], "labels": [1, 9], "attention_mask": [1, 1]}

            {"labels": [-100, -100, 3, -100], "input_ids": [4, 5, 6, 7]}
            {"input_ids": [2, 2, 2], "labels": null}

            """, "t.jsonl")
        let data = try TrainingData(path, length: 4, tokenizer: nil, vocabularySize: 10)
        #expect(data.formats == [.inputIDs])
        #expect(data.samplesPerEpoch == 4)
        #expect(data.statistics == DatasetStatistics(records: 4, samples: 4, truncated: 0, dropped: 0, tokens: 13))
        #expect(
            try data.epoch() == [
                ExpectedSample(segments: [[5, 6, 7, 8]], labels: [6, 7, 8, -100]),
                ExpectedSample(segments: [[1, 9]], labels: [9, -100]),
                ExpectedSample(segments: [[4, 5, 6, 7]], labels: [-100, 3, -100, -100]),
                ExpectedSample(segments: [[2, 2, 2]], labels: [2, 2, -100]),
            ])
    }

    /// Sample i of update s is line (s - 1) * global + i, wrapping.
    @Test func goesThroughTheFileInOrder() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write((0..<7).map { "{\"input_ids\": [\($0), 1]}" }.joined(separator: "\n"), "t.jsonl")
        let data = try TrainingData(path, length: 4, tokenizer: nil, vocabularySize: 10)
        for update in 1...6 {
            for microBatch in 0..<2 {
                let batch = try data.microBatch(update: update, microBatchIndex: microBatch, microBatchSize: 3, globalBatchSize: 5)
                let first = (update - 1) * 5 + 3 * microBatch
                let count = microBatch == 0 ? 3 : 2
                #expect(batch.samples.map { batch.tokenIDs[$0.start] } == (first..<first + count).map { Int32($0 % 7) })
                #expect(batch.samples.map(\.sampleID) == (first..<first + count).map(UInt64.init))
            }
        }
    }

    @Test func packsWholeRecords() throws {
        let directory = try TemporaryDirectory()
        let lines = [3, 4, 2, 2, 1 + 1, 5].enumerated().map { index, count in
            "{\"input_ids\": [\([Int](repeating: index, count: count).map(String.init).joined(separator: ","))]}"
        }
        let path = try directory.write("[" + lines.joined(separator: ",\n") + "]", "t.json")
        let data = try TrainingData(path, length: 6, packing: true, tokenizer: nil, vocabularySize: 10)
        #expect(
            try data.epoch().map(\.segments) == [[[0, 0, 0], [2, 2]], [[1, 1, 1, 1], [3, 3]], [[4, 4]], [[5, 5, 5, 5, 5]]])
        #expect(try data.epoch()[0].labels == [0, 0, -100, 2, -100])
    }

    @Test func scoresRecordsAsTheyAre() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("{\"input_ids\": [5, 6, 7]}\n{\"input_ids\": [3, 4], \"labels\": [3, 4]}", "t.jsonl")
        let data = try EvaluationData(
            configuration: .init(path: path, length: 3), tokenizer: nil, vocabularySize: 10, bosTokenID: 1)
        #expect(
            try data.microBatch(0, size: 8).unpacked() == [
                ExpectedSample(segments: [[5, 6, 7]], labels: [6, 7, -100]),
                ExpectedSample(segments: [[3, 4]], labels: [4, -100]),
            ])
    }
}

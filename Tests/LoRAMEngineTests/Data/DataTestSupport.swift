import Foundation
import TestSupport
import Testing

import LoRAMEngine

/// A tokenizer whose ids are easy to write down: byte b is token b + 3; 0 unknown, 1 BOS, 2 EOS. `<s>` and `</s>` are not special.
struct ByteTokenizer: Tokenizer {
    var vocabularySize: Int { 259 }
    var bosTokenID: Int32? { 1 }
    var eosTokenID: Int32? { 2 }

    func encode(utf8 text: UnsafeBufferPointer<UInt8>, special: Bool, isContinuation: Bool, into ids: inout [Int32]) {
        ids.append(contentsOf: text.lazy.map { Int32($0) + 3 })
    }

    func decode(_ ids: [Int32]) -> String { String(decoding: ids.filter { $0 > 2 }.map { UInt8($0 - 3) }, as: UTF8.self) }
    func splitPosition(in text: UnsafeBufferPointer<UInt8>, from minimum: Int) -> Int? { minimum < text.count ? max(minimum, 1) : nil }
    func maximumTokenCount(utf8Count: Int) -> Int { utf8Count }
}

extension TemporaryDirectory {
    @discardableResult
    func write(_ text: String, _ name: String) throws -> String {
        try write(Array(text.utf8), name)
    }

    @discardableResult
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: path(name)))
        return path(name)
    }
}

/// A sample as samples.json has it.
struct ExpectedSample: Equatable, CustomStringConvertible {
    var segments: [[Int32]]
    var labels: [Int32]
    var description: String { "segments \(segments), labels \(labels)" }
}

extension MicroBatch {
    /// The samples one by one; checks the layout on the way.
    func unpacked(_ location: SourceLocation = #_sourceLocation) -> [ExpectedSample] {
        #expect(labels.count == tokenIDs.count, sourceLocation: location)
        var result: [ExpectedSample] = []
        var segment = 0
        var position = 0
        for sample in samples {
            #expect(sample.start == position, sourceLocation: location)
            var expected = ExpectedSample(segments: [], labels: Array(labels[position..<position + sample.count]))
            while position < sample.start + sample.count {
                #expect(segments[segment].start == position && segments[segment].count > 0, sourceLocation: location)
                expected.segments.append(Array(tokenIDs[position..<position + segments[segment].count]))
                position += segments[segment].count
                segment += 1
            }
            #expect(position == sample.start + sample.count, sourceLocation: location)
            result.append(expected)
        }
        #expect(segment == segments.count && position == tokenCount, sourceLocation: location)
        return result
    }
}

extension TrainingData {
    convenience init(
        _ path: String, format: DatasetFormat? = nil, template: PromptTemplate = .alpaca, length: Int, packing: Bool = false,
        shuffle: Bool = false, answersOnly: Bool = true, tokenizer: (any Tokenizer)? = ByteTokenizer(), vocabularySize: Int = 1000,
        seed: UInt64 = 0
    ) throws {
        try self.init(
            configuration: DataConfiguration(
                sources: [.init(path: path, format: format)], template: template, length: length, packing: packing,
                shuffle: shuffle, answersOnly: answersOnly),
            tokenizer: tokenizer, vocabularySize: vocabularySize, bosTokenID: 1, eosTokenID: 2, seed: seed)
    }

    /// All samples of the first epoch.
    func epoch(_ location: SourceLocation = #_sourceLocation) throws -> [ExpectedSample] {
        try microBatch(update: 1, microBatchIndex: 0, microBatchSize: samplesPerEpoch, globalBatchSize: samplesPerEpoch).unpacked(location)
    }

    /// The first token of each sample at positions 0 ..< count; enough to tell samples apart in the tests of order.
    func firstTokens(_ count: Int) throws -> [Int32] {
        let batch = try microBatch(update: 1, microBatchIndex: 0, microBatchSize: count, globalBatchSize: count)
        return batch.samples.map { batch.tokenIDs[$0.start] }
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Samples from the cache are the samples from the file, however many ranks built it.
@Suite struct TokenCacheTests {
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func options(_ tokenizer: any Tokenizer, template: PromptTemplate = .alpaca) -> TokenCacheBuilder.Options {
        .init(
            cache: TokenCache(directory: directory.path("cache")), tokenizer: tokenizer, tokenizerHash: "t", vocabularySize: 1000, template: template,
            answersOnly: true, bosTokenID: 1, eosTokenID: 2)
    }

    private func entry(_ path: String, ranks: Int = 1, template: PromptTemplate = .alpaca) throws -> TokenCacheBuilder.Entry {
        let builder = TokenCacheBuilder(path: path, format: nil, options: options(ByteTokenizer(), template: template))
        return try builder.entry(hashes: (0..<ranks).map { try builder.hashes(rank: $0, of: ranks) })
    }

    private func build(_ path: String, ranks: Int) throws -> DataConfiguration.Source {
        let entry = try entry(path, ranks: ranks)
        for rank in 0..<ranks { try entry.writePart(rank: rank, of: ranks) }
        #expect(entry.parts == nil)
        try entry.commit(partCount: ranks)
        var source = DataConfiguration.Source(path: path, format: entry.format)
        source.cachedParts = entry.parts
        #expect(source.cachedParts?.count == ranks)
        return source
    }

    static let contents: [(String, String)] = [
        ("t.jsonl", (0..<37).map { #"{"instruction": "Q\#($0)", "output": "\#(String(repeating: "a", count: $0 % 9))"}"# }.joined(separator: "\n")),
        ("d.jsonl", (0..<23).map { #"{"text": "\#(String(repeating: "word ", count: $0 * 7 % 31))"}"# }.joined(separator: "\n")),
        ("p.txt", String(repeating: "lanterns by the river ", count: 900) + "<|endoftext|>" + "short"),
    ]

    @Test(arguments: contents, [1, 3]) func givesTheSamplesOfTheFile(content: (String, String), ranks: Int) throws {
        let path = try directory.write(content.1, content.0)
        let source = try build(path, ranks: ranks)
        for (packing, length) in [(false, 165), (true, 400), (false, 1000)] {
            func data(_ source: DataConfiguration.Source) throws -> TrainingData {
                try TrainingData(
                    configuration: DataConfiguration(sources: [source], length: length, packing: packing), tokenizer: ByteTokenizer(), vocabularySize: 1000,
                    bosTokenID: 1, eosTokenID: 2, seed: 7)
            }
            let plain = try data(.init(path: path)), cached = try data(source)
            #expect(cached.statistics.samples == plain.statistics.samples && cached.statistics.dropped == plain.statistics.dropped)
            #expect(try cached.epoch() == plain.epoch())
        }
    }

    @Test func belongsToContentAndSettings() throws {
        let path = try directory.write(Self.contents[0].1, "t.jsonl")
        let first = try entry(path)
        #expect(try entry(path, ranks: 2).path == first.path)
        #expect(try entry(path, template: .none).path != first.path)
        try directory.write(Self.contents[0].1 + " ", "t.jsonl")
        #expect(try entry(path).path != first.path)
    }

    @Test func refusesDamagedParts() throws {
        let path = try directory.write(Self.contents[0].1, "t.jsonl")
        let part = try #require(try build(path, ranks: 1).cachedParts?.first)
        let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: part)))
        var generator = LinearCongruentialGenerator(seed: 4)
        for round in 0..<100 {
            var bytes = original
            if round % 2 == 0 { bytes.removeLast(1 + generator.below(bytes.count)) } else { bytes[generator.below(64)] ^= 0xff }
            if bytes.isEmpty || bytes == original || (round % 2 == 1 && bytes[24..<64] != original[24..<64]) { continue }
            try Data(bytes).write(to: URL(fileURLWithPath: part))
            var source = DataConfiguration.Source(path: path, format: .alpaca)
            source.cachedParts = [part]
            #expect(throws: DatasetError.self) {
                try TrainingData(
                    configuration: DataConfiguration(sources: [source]), tokenizer: ByteTokenizer(), vocabularySize: 1000, bosTokenID: 1, eosTokenID: 2, seed: 7)
            }
        }
    }
}

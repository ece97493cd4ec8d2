import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Compressed datasets give the samples of the plain ones; damaged ones end in one line.
@Suite struct DecompressionTests {
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func command(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(arguments)")
    }

    static let hasTools: Bool = ["gzip", "zstd"].allSatisfy { name in
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
    }

    private func records() -> String { (0..<20_000).map { #"{"text": "document \#($0) about lanterns"}"# + "\n" }.joined() }

    @Test(.enabled(if: hasTools, "gzip or zstd is absent")) func readsGzipAndZstd() throws {
        let plain = try directory.write(records(), "t.jsonl")
        try command(["gzip", "-k", plain])
        try command(["zstd", "-q", "-k", plain])
        let expected = try TrainingData(plain, length: 64).firstTexts()
        for ending in ["gz", "zst"] {
            #expect(try TrainingData("\(plain).\(ending)", length: 64).firstTexts() == expected)
            // Streams one behind the other are one text.
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(plain).\(ending)")))
            let twice = try directory.write(bytes + bytes, "twice.jsonl.\(ending)")
            #expect(try TrainingData(twice, length: 64).statistics.records == 40_000)
            for damage in 0..<60 {
                var damaged = bytes
                if damage % 2 == 0 { damaged.removeLast(1 + damage * 100) } else { damaged[damage * 37 + 20] ^= 0x55 }
                let path = try directory.write(damaged, "damaged.jsonl.\(ending)")
                #expect(throws: DatasetError.self) { try TrainingData(path, length: 64) }
            }
        }
    }

    /// Bytes changed anywhere give the samples, where the format does not look at them, or a `DatasetError`.
    @Test(.enabled(if: hasTools, "gzip or zstd is absent"), arguments: ["gz", "zst"]) func survivesMutations(ending: String) throws {
        let plain = try directory.write((0..<300).map { #"{"text": "document \#($0 * 7919 % 1000)"}"# + "\n" }.joined(), "t.jsonl")
        try command(ending == "gz" ? ["gzip", "-k", plain] : ["zstd", "-q", "-k", plain])
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(plain).\(ending)")))
        let expected = try TrainingData(plain, length: 64).firstTexts()
        var random = SequentialRandom(CounterRandom(seed: 3, name: ending)), refused = 0
        for _ in 0..<400 {
            let path = try directory.write(mutated(bytes, with: &random), "damaged.jsonl.\(ending)")
            do {
                let data = try TrainingData(path, length: 64)
                // zstd need not carry a checksum: then any text may come out, or several streams.
                if ending == "gz", data.statistics.records == 300 { #expect(try data.firstTexts() == expected) }
            } catch is DatasetError {
                refused += 1
            }
        }
        #expect(refused > 200, "\(refused)")
    }
}

extension TrainingData {
    fileprivate func firstTexts() throws -> [[Int32]] {
        let batch = try microBatch(update: 1, microBatchIndex: 0, microBatchSize: 50, globalBatchSize: 50)
        return batch.segments.map { Array(batch.tokenIDs[$0.start..<$0.start + $0.count]) }
    }
}

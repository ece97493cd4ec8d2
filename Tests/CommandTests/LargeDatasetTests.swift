import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// A dataset's size does not show in a process's memory.
@Suite(.serialized) struct LargeDatasetTests {
    /// JSON lines of token ids, `byteCount` bytes of them, made here and gone with the directory.
    private static func write(_ path: String, byteCount: Int) throws -> Int {
        let output = try OutputFile(path: path)
        var random = LinearCongruentialGenerator(seed: 5), written = 0, lines = 0
        while written < byteCount {
            var block: [UInt8] = []
            for _ in 0..<64 {
                let ids = (0..<1000).map { _ in String(3 + random.below(Project.vocabularySize - 3)) }
                block += Array(#"{"input_ids": [\#(ids.joined(separator: ", "))]}"#.utf8) + [0x0a]
            }
            // One block again and again: what lies in a line does not matter here.
            for _ in 0..<16 where written < byteCount {
                try output.write(block)
                written += block.count
                lines += 64
            }
        }
        try output.finish()
        return lines
    }

    private func peak(_ project: Project, byteCount: Int) throws -> (peaks: [Double], seconds: Double) {
        let path = project.path("large.jsonl"), run = RunOutput(path: project.path("run-\(byteCount)"))
        let records = try Self.write(path, byteCount: byteCount)
        defer { unlink(path) }
        #expect(FileSystem.fileSize(path)! >= byteCount && records > 64)
        let start = ContinuousClock.now
        let outcome = try CommandRun.run(
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", run.path), ("data.train", "[{path: \(path)}]"), ("data.length", "1000"),
                    ("batch.global", "8"), ("batch.micro", "1"), ("schedule.steps", "100"), ("checkpoint.every", "1000"), ("parallel.threads", "1"),
                ] + plainNumbers))
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        return (try run.numbers("peak_rss_mib"), (ContinuousClock.now - start) / .seconds(1))
    }

    private func expectFlat(large: Int) throws {
        let project = try Project(positions: 1000), small = try peak(project, byteCount: 8 << 20), big = try peak(project, byteCount: large)
        let index = 16.0 * Double(large) / 4000 / 1_048_576
        print("training on \(large >> 20) MiB: \(big.peaks[0]) to \(big.peaks.last!) MiB resident (\(small.peaks.last!) on 8 MiB), \(big.seconds) s")
        // Within the bound of mapped pages, and twice the index while it grows.
        #expect(big.peaks.last! - small.peaks.last! < Double(32 + 16) + 3 * index, "\(small.peaks.last!) \(big.peaks.last!)")
        #expect(big.peaks.last! - big.peaks[0] < 16)
    }

    @Test func memoryIsFlat() throws { try expectFlat(large: 400 << 20) }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["LORAM_LARGE_TESTS"] != nil, "LORAM_LARGE_TESTS is not set"))
    func memoryIsFlatAtTwoGigabytes() throws { try expectFlat(large: 2_000_000_000) }
}

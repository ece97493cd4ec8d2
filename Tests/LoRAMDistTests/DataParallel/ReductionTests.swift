import LoRAMDist
import TestSupport
import Testing

@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct ReductionTests {
    /// Sums of gradients and losses over 16 micro-batches: the same bits for any number of replicas and any bucket size, with odd
    /// halves, in buckets that overlap the last backward pass.
    @Test func reproducibleReductionHasTheSameBitsOnEveryGrid() throws {
        let one = try expectScenario("reduce", ["reproducible", 10_007, 16, 10_007], ranks: 1)
        #expect(one.outputLines.count == 3)
        for (ranks, bucket) in [(2, 999), (4, 1_500), (8, 10_007)] {
            let outcome = try expectScenario("reduce", ["reproducible", 10_007, 16, bucket], ranks: ranks)
            #expect(outcome.standardOutput == one.standardOutput, "\(ranks) ranks")
        }
    }

    /// Buckets smaller than the number of replicas have empty halves.
    @Test func tinyBuckets() throws {
        let one = try expectScenario("reduce", ["reproducible", 23, 8, 5], ranks: 1)
        let eight = try expectScenario("reduce", ["reproducible", 23, 8, 5], ranks: 8)
        #expect(eight.standardOutput == one.standardOutput)
    }

    @Test func fastReductionAgreesWithinRounding() throws {
        func columns(_ ranks: Int) throws -> [[String]] {
            try expectScenario("reduce", ["fast", 10_007, 15, 3_000], ranks: ranks).outputLines
                .map { $0.split(separator: " ").map(String.init) }
        }
        let one = try columns(1)
        for ranks in [2, 3] {
            for (line, reference) in zip(try columns(ranks), one) {
                // Losses are exact in any mode; sums of gradients agree to rounding.
                #expect(line[2] == reference[2] && line[3] == reference[3])
                #expect(abs(try #require(Double(line[4])) / #require(Double(reference[4])) - 1) < 1e-5)
            }
        }
    }

    @Test(arguments: [1, 2, 8])
    func segmentsForShardedOptimizers(ranks: Int) throws {
        try expectScenario("segments", [1_001], ranks: ranks)
        try expectScenario("segments", [5], ranks: ranks)
    }

    @Test func normHasTheSameBitsOnAnyNumberOfStages() throws {
        let one = try expectScenario("norm", ranks: 1)
        #expect(one.outputLines.count == 1)
        for ranks in [2, 3, 4] {
            #expect(try expectScenario("norm", ranks: ranks).standardOutput == one.standardOutput)
        }
    }

    @Test func stagesThatDisagreeAboutATensor() throws {
        let outcome = try runScenario("norm-mismatch", ranks: 2)
        #expect(outcome.exitCode == 1)
        #expect(
            !outcome.errorLines(containing: "lm_head.weight has 10 elements on one stage and 11 on another").isEmpty,
            "\(outcome.standardError)")
    }
}

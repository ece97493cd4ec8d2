import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct EvaluateTests {
    static let grids: [GridVariant] = [
        GridVariant(stages: 2, replicas: 1), GridVariant(stages: 1, replicas: 2), GridVariant(stages: 2, replicas: 2, threads: 2),
        GridVariant(stages: 1, replicas: 1, threads: 2, usesLauncher: false),
    ]

    @Test func theSameNumbersOnEveryGrid() throws {
        let project = try Project()
        let model = try project.writeCheckpoint("base")
        for (file, more) in [(project.texts, ["--length", "16"]), (project.tokens, ["--length", "24"]), (Fixtures.path("data/alpaca.json"), ["--answers-only", "--length", "128"])] {
            let command = ["evaluate", "--model", model, "--perplexity", file, "--json"] + more
            let reference = try GridVariant.plain.run(command + ["--set", "batch.micro=2"])
            #expect(reference.exitCode == 0, "\(reference.standardError)")
            let report = try JSONValue.parse(reference.standardOutput)
            #expect(report.objectMembers?.map(\.key) == ["perplexity", "nll", "tokens"])
            let nll = try #require(report["nll"]?.doubleValue), perplexity = try #require(report["perplexity"]?.doubleValue)
            #expect(abs(exp(nll) - perplexity) < 1e-9 * perplexity)
            // Random weights know nothing: close to the logarithm of the vocabulary.
            #expect(abs(nll - log(Double(Project.vocabularySize))) < 0.2)
            for grid in Self.grids {
                let outcome = try grid.run(command + ["--set", "batch.micro=2"])
                #expect(outcome.standardOutput == reference.standardOutput, "\(grid.testDescription): \(outcome.standardError)")
            }
        }
    }

    /// Without BOS nothing predicts the first token of each window.
    @Test func bosCounts() throws {
        let project = try Project()
        let model = try project.writeCheckpoint("base"), file = try project.write("one.jsonl", ["{\"text\": \"Ada finds a lantern.\"}"])
        func tokens(_ more: [String]) throws -> Int {
            let outcome = try CommandRun.run(["evaluate", "--model", model, "--perplexity", file, "--json"] + (more.contains("--length") ? more : more + ["--length", "64"]))
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            return try #require(JSONValue.parse(outcome.standardOutput)["tokens"]?.intValue)
        }
        let all = try tokens([])
        #expect(try tokens(["--bos", "never"]) == all - 1)
        // Windows of 2 hold one token beside BOS.
        #expect(try tokens(["--length", "2"]) == all)
    }
}

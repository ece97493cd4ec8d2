import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `data.cache` changes nothing but the work: the same losses and adapter, on whatever grid the tokens were made.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct TokenCacheTrainingTests {
    private func train(_ project: Project, _ name: String, ranks: Int, _ more: [(String, String)]) throws -> (RunOutput, MPIRun.Outcome) {
        let output = project.path(name)
        let outcome = try CommandRun.run(
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("lora.rank", "4"), ("data.train", "[{path: \(project.texts)}]"),
                    ("data.length", "48"), ("data.packing", "true"), ("data.validation", "0.2"), ("batch.global", "4"), ("batch.micro", "1"),
                    ("optimizer.learning_rate", "0.01"), ("schedule.warmup_steps", "0"), ("schedule.steps", "3"), ("evaluation.every", "3"),
                ] + more), ranks: ranks)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        return (RunOutput(path: output), outcome)
    }

    @Test func trainsAsFromTheFile() throws {
        let project = try Project()
        let cache = [("data.cache", project.path("cache"))]
        let (plain, _) = try train(project, "plain", ranks: 1, [])
        let (built, first) = try train(project, "built", ranks: 2, cache)
        #expect(first.standardError.contains("making tokens of"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: project.path("cache")).count == 1)
        let (reused, second) = try train(project, "reused", ranks: 1, cache)
        #expect(!second.standardError.contains("making tokens of"))
        for run in [built, reused] {
            #expect(try run.curve() == plain.curve())
            #expect(try run.evaluations() == plain.evaluations())
            #expect(try run.bytes("adapter/adapter_model.safetensors") == plain.bytes("adapter/adapter_model.safetensors"))
        }
        #expect(try plain.evaluations().contains { $0.contains("eval/validation") })
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `align` gives the same losses and checkpoint on every grid, of a tied and an untied model.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct AlignBitsTests {
    struct Reference: Sendable {
        let project: Project
        let run: RunOutput

        init(tied: Bool) throws {
            project = try Project(tied: tied)
            run = try AlignBitsTests.align(.plain, project, "reference")
        }
    }

    static let tied = Result { try Reference(tied: true) }
    static let untied = Result { try Reference(tied: false) }

    static let variants: [GridVariant] = [
        GridVariant(stages: 2, replicas: 1), GridVariant(stages: 4, replicas: 1), GridVariant(stages: 1, replicas: 2),
        GridVariant(stages: 2, replicas: 2, threads: 2), GridVariant(stages: 1, replicas: 1, threads: 2, usesLauncher: false),
        GridVariant(stages: 2, replicas: 1, others: [("parallel.pipeline", "gpipe")]), GridVariant(stages: 1, replicas: 4),
    ] + [(1, 1), (2, 1), (1, 2), (2, 2)].map { GridVariant(stages: $0, replicas: $1, others: [("parallel.pipeline", "zb-h1")]) }
        + [[("parallel.pipeline", "interleaved"), ("parallel.chunks", "2")], GridVariant.dedicated].flatMap { others in
            [(2, 1), (2, 2)].map { GridVariant(stages: $0, replicas: $1, others: others) }
        }

    /// Three updates of all weights on packed texts.
    static func align(_ variant: GridVariant, _ project: Project, _ name: String) throws -> RunOutput {
        let output = project.path(name)
        let outcome = try variant.run(
            ["align"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("alignment.frozen", "[]"),
                    ("alignment.data.train", "[{path: \(project.texts)}]"), ("alignment.data.length", "32"), ("alignment.batch.global", "8"),
                    ("alignment.batch.micro", "2"), ("alignment.optimizer.learning_rate", "0.003"), ("alignment.schedule.warmup_steps", "1"),
                    ("alignment.schedule.steps", "3"), ("compute.type", project.tied ? "f32" : "bf16"),
                ]))
        #expect(outcome.exitCode == 0, "\(variant.testDescription): \(outcome.standardError)")
        return RunOutput(path: output)
    }

    /// The tied model in f32, the other in bf16.
    @Test(arguments: variants, [false, true]) func sameBits(_ variant: GridVariant, tied: Bool) throws {
        let reference = try (tied ? Self.tied : Self.untied).get()
        let losses = try reference.run.numbers("loss")
        #expect(losses.count == 3 && losses.last! < losses.first!)
        let run = try Self.align(variant, reference.project, "run-\(UUID().uuidString)")
        #expect(try run.curve() == reference.run.curve())
        for name in ["model.safetensors", "config.json", "tokenizer.model"] {
            #expect(try run.bytes("aligned/\(name)") == reference.run.bytes("aligned/\(name)"), "\(name)")
        }
    }

    /// All micro-batches in one group, so that weight gradients wait for others' backward passes.
    @Test(arguments: [false, true]) func zeroBubbleHasTheSameBits(tied: Bool) throws {
        let project = try (tied ? Self.tied : Self.untied).get().project
        func align(_ stages: Int, _ others: [(String, String)]) throws -> RunOutput {
            try Self.align(
                GridVariant(stages: stages, replicas: 1, others: [("parallel.groups", "1")] + others, usesLauncher: stages > 1), project,
                "run-\(UUID().uuidString)")
        }
        let reference = try align(1, [])
        for (stages, recompute) in [(2, "full"), (4, "full")] + (tied ? [(4, "none"), (4, "selective")] : []) {
            let run = try align(stages, [("parallel.pipeline", "zb-h1"), ("compute.recompute", recompute)])
            #expect(try run.curve() == reference.curve(), "\(stages) stages, \(recompute)")
            #expect(try run.bytes("aligned/model.safetensors") == reference.bytes("aligned/model.safetensors"), "\(stages) stages, \(recompute)")
        }
    }

    /// The result is a checkpoint that further commands read, and its frozen weights are the given ones.
    @Test func frozenWeightsStay() throws {
        let project = try Project()
        let base = try project.writeCheckpoint("base")
        let outcome = try CommandRun.run(
            ["align"]
                + settings([
                    ("model", base), ("output", project.path("run")), ("alignment.data.train", "[{path: \(project.texts)}]"),
                    ("alignment.data.length", "32"), ("alignment.batch.global", "4"), ("alignment.batch.micro", "2"),
                    ("alignment.optimizer.learning_rate", "0.01"), ("alignment.schedule.warmup_steps", "0"), ("alignment.schedule.steps", "2"),
                ]))
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let before = try Checkpoint(directory: base), after = try Checkpoint(directory: project.path("run/aligned"))
        try after.validate()
        for (name, shape) in WeightLayout.names(before.config) {
            var old = [Float](repeating: 0, count: shape.reduce(1, *)), new = old
            try before.copyFloats(name, shape: shape, rows: nil, into: &old)
            try after.copyFloats(name, shape: shape, rows: nil, into: &new)
            #expect((old == new) == (name == "lm_head.weight"), "\(name)")
        }
    }
}

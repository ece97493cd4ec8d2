import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `train` gives the same losses, gradient norms and adapter on every grid, schedule and number of threads.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct TrainBitsTests {
    /// One project and its result on one process, made at first use.
    struct Reference: Sendable {
        let project: Project
        let run: RunOutput

        init() throws {
            project = try Project()
            run = try TrainBitsTests.train(.plain, project, "reference")
        }
    }

    static let reference = Result { try Reference() }

    static let variants: [GridVariant] = {
        let noAhead = [("parallel.recompute_ahead", "false")], kept = [("compute.recompute", "none")], gpipe = [("parallel.pipeline", "gpipe")]
        var variants = [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)].map { GridVariant(stages: $0, replicas: $1) }
        variants.append(GridVariant(stages: 1, replicas: 1, threads: 2, usesLauncher: false))
        variants += [(2, 1), (2, 2)].map { GridVariant(stages: $0, replicas: $1, threads: 2) }
        variants += [(2, 1), (4, 1), (2, 2)].map { GridVariant(stages: $0, replicas: $1, others: gpipe) }
        variants += [(2, 1), (4, 1)].map { GridVariant(stages: $0, replicas: $1, others: noAhead) }
        variants.append(GridVariant(stages: 1, replicas: 1, others: kept, usesLauncher: false))
        variants.append(GridVariant(stages: 2, replicas: 2, others: kept))
        variants.append(GridVariant(stages: 4, replicas: 1, threads: 2, others: kept + gpipe))
        return variants
    }()

    /// Four updates with dropout, over micro-batches of different sizes.
    static func train(_ variant: GridVariant, _ project: Project, _ name: String) throws -> RunOutput {
        let output = project.path(name)
        let outcome = try variant.run(
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("lora.rank", "4"), ("lora.dropout", "0.1"),
                    ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "24"), ("batch.global", "8"), ("batch.micro", "1"),
                    ("optimizer.learning_rate", "0.01"), ("schedule.warmup_steps", "1"), ("schedule.steps", "4"),
                    ("data.evaluation", "[{name: texts, path: \(project.texts)}]"), ("evaluation.every", "2"),
                ]))
        #expect(outcome.exitCode == 0, "\(variant.testDescription): \(outcome.standardError)")
        return RunOutput(path: output)
    }

    @Test func theReferenceLearns() throws {
        let reference = try Self.reference.get(), losses = try reference.run.numbers("loss")
        #expect(losses.count == 4)
        #expect(try reference.run.evaluations().count == 2)
        let adapter = try Adapter(directory: "\(reference.run.path)/adapter")
        #expect(adapter.lora.rank == 4 && adapter.modules.count == 4 * 7 + 1)
        // lora_B starts from zero.
        for module in adapter.modules {
            let shape = try adapter.shape(module.bName)
            var values = [Float](repeating: 0, count: shape[0] * shape[1])
            try adapter.copyFloats(module.bName, shape: shape, into: &values)
            #expect(values.allSatisfy { $0 != 0 }, "\(module.bName)")
        }
        #expect(!reference.run.names.contains("adapter-pruned"), "the base was not pruned")
    }

    @Test(arguments: variants) func sameBits(_ variant: GridVariant) throws {
        let reference = try Self.reference.get()
        let run = try Self.train(variant, reference.project, "run-\(UUID().uuidString)")
        #expect(try run.curve() == reference.run.curve())
        #expect(try run.evaluations() == reference.run.evaluations())
        for name in ["adapter/adapter_model.safetensors", "adapter/adapter_config.json"] {
            #expect(try run.bytes(name) == reference.run.bytes(name), "\(name)")
        }
    }

    @Test(arguments: [(1, 1), (1, 2), (2, 2)]) func fastStaysClose(_ stages: Int, _ replicas: Int) throws {
        let reference = try Self.reference.get()
        let variant = GridVariant(stages: stages, replicas: replicas, others: [("parallel.reduction", "fast")])
        let run = try Self.train(variant, reference.project, "fast-\(stages)x\(replicas)")
        for key in ["loss", "grad_norm"] {
            let found = try run.numbers(key), expected = try reference.run.numbers(key)
            #expect(found.count == expected.count)
            for (a, b) in zip(found, expected) { #expect(relativeDifference(a, b) < 1e-5, "\(key)") }
        }
    }

    /// Three replicas cannot share a reproducible sum; the fast one takes them.
    @Test func onlyFastTakesAnyNumberOfReplicas() throws {
        let project = try Self.reference.get().project
        var command = ["train"] + settings([
            ("model", project.model), ("synthetic_seed", "5"), ("output", project.path("three")), ("data.train", "[{path: \(project.tokens)}]"),
            ("data.length", "24"), ("batch.global", "8"), ("batch.micro", "1"), ("schedule.steps", "2"), ("parallel.replicas", "3"),
            ("parallel.threads", "1"),
        ])
        let refused = try CommandRun.run(command, ranks: 3)
        #expect(refused.exitCode == 64)
        #expect(refused.ownErrorLines.count == 1 && refused.ownErrorLines[0].contains("parallel.reduction: fast"), "\(refused.standardError)")
        command += ["--set", "parallel.reduction=fast"]
        #expect(try CommandRun.run(command, ranks: 3).exitCode == 0)
    }
}

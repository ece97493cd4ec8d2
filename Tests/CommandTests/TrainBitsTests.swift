import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `train` gives the same losses, gradient norms and adapter on every grid, schedule and number of threads.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct TrainBitsTests {
    /// In what the frozen weights are held and products computed.
    enum Numbers: CaseIterable, Sendable {
        case f32, nf4

        var settings: [(String, String)] {
            self == .f32 ? plainNumbers : [("compute.type", "bf16"), ("quantization.type", "nf4")]
        }
    }

    /// One project and its results on one process, made at first use.
    struct Reference: Sendable {
        let project: Project
        let runs: [Numbers: RunOutput]

        var run: RunOutput { runs[.f32]! }

        init() throws {
            let project = try Project()
            self.project = project
            runs = try Dictionary(uniqueKeysWithValues: Numbers.allCases.map {
                ($0, try TrainBitsTests.train(.plain, $0, project, "reference-\($0)"))
            })
        }
    }

    static let reference = Result { try Reference() }

    static let variants: [(GridVariant, Numbers)] = {
        let noAhead = [("parallel.recompute_ahead", "false")], gpipe = [("parallel.pipeline", "gpipe")]
        let none = [("compute.recompute", "none")], selective = [("compute.recompute", "selective")]
        var variants = [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)].map { GridVariant(stages: $0, replicas: $1) }
        variants.append(GridVariant(stages: 1, replicas: 1, threads: 2, usesLauncher: false))
        variants.append(GridVariant(stages: 2, replicas: 2, threads: 2))
        variants += [(2, 1), (2, 2)].map { GridVariant(stages: $0, replicas: $1, others: gpipe) }
        variants.append(GridVariant(stages: 4, replicas: 1, others: noAhead))
        let interleaved = [("parallel.pipeline", "interleaved"), ("parallel.chunks", "2")]
        variants += [(2, 1), (2, 2)].map { GridVariant(stages: $0, replicas: $1, others: interleaved) }
        variants.append(GridVariant(stages: 2, replicas: 1, others: interleaved + noAhead))
        variants += [(2, 1), (2, 2)].map { GridVariant(stages: $0, replicas: $1, others: GridVariant.dedicated) }
        let plain = [
            GridVariant(stages: 1, replicas: 1, others: none, usesLauncher: false), GridVariant(stages: 2, replicas: 2, others: none),
            GridVariant(stages: 4, replicas: 1, threads: 2, others: selective + gpipe),
        ]
        let inMemory = [
            GridVariant(stages: 2, replicas: 2, others: [("compute.weights", "shared")]),
            GridVariant(stages: 1, replicas: 2, others: [("compute.weights", "resident")]),
        ]
        return variants.flatMap { variant in Numbers.allCases.map { (variant, $0) } } + plain.map { ($0, .f32) } + inMemory.map { ($0, .nf4) }
    }()

    /// Four updates with dropout, over micro-batches of different sizes.
    static func train(_ variant: GridVariant, _ numbers: Numbers, _ project: Project, _ name: String) throws -> RunOutput {
        let output = project.path(name)
        let outcome = try variant.run(
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("lora.rank", "4"), ("lora.dropout", "0.1"),
                    ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "24"), ("batch.global", "8"), ("batch.micro", "1"),
                    ("optimizer.learning_rate", "0.01"), ("schedule.warmup_steps", "1"), ("schedule.steps", "4"),
                    ("data.evaluation", "[{name: texts, path: \(project.texts)}]"), ("evaluation.every", "2"),
                ] + numbers.settings))
        #expect(outcome.exitCode == 0, "\(variant.testDescription): \(outcome.standardError)")
        return RunOutput(path: output)
    }

    /// Keeping activations in bf16 and computing them again do not give the same, but either gives the same on every grid.
    @Test func keptInBF16() throws {
        let reference = try Self.reference.get(), none = [("compute.recompute", "none")]
        let kept = try Self.train(GridVariant(stages: 1, replicas: 1, others: none, usesLauncher: false), .nf4, reference.project, "kept")
        for variant in [GridVariant(stages: 2, replicas: 2, others: none), GridVariant(stages: 4, replicas: 1, others: [("compute.recompute", "selective")])] {
            let run = try Self.train(variant, .nf4, reference.project, "kept-\(variant.stages)")
            #expect(try run.curve() == kept.curve())
            #expect(try run.bytes("adapter/adapter_model.safetensors") == kept.bytes("adapter/adapter_model.safetensors"))
        }
        for (a, b) in zip(try kept.numbers("loss"), try reference.runs[.nf4]!.numbers("loss")) { #expect(relativeDifference(a, b) < 1e-2) }
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

    @Test(arguments: variants) func sameBits(_ variant: GridVariant, _ numbers: Numbers) throws {
        let reference = try Self.reference.get(), expected = reference.runs[numbers]!
        let run = try Self.train(variant, numbers, reference.project, "run-\(UUID().uuidString)")
        #expect(try run.curve() == expected.curve())
        #expect(try run.evaluations() == expected.evaluations())
        for name in ["adapter/adapter_model.safetensors", "adapter/adapter_config.json"] {
            #expect(try run.bytes(name) == expected.bytes(name), "\(name)")
        }
    }

    @Test(arguments: [(1, 1), (1, 2), (2, 2)]) func fastStaysClose(_ stages: Int, _ replicas: Int) throws {
        let reference = try Self.reference.get()
        let variant = GridVariant(stages: stages, replicas: replicas, others: [("parallel.reduction", "fast")])
        let run = try Self.train(variant, .f32, reference.project, "fast-\(stages)x\(replicas)")
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

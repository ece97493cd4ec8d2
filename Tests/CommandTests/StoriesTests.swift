import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// The whole path on a real pretrained model (shared data, models/stories260K).
@Suite(
    .enabled(if: MPIRun.isAvailable, "mpirun is not installed"),
    .enabled(if: SharedData.path("models/stories260K") != nil, "shared data are absent"))
struct StoriesTests {
    let model = SharedData.path("models/stories260K") ?? ""
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    func evaluate(_ arguments: [String], ranks: Int = 0) throws -> (nll: Double, tokens: Int) {
        let outcome = try CommandRun.run(["evaluate", "--json"] + arguments, ranks: ranks)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let report = try JSONValue.parse(outcome.standardOutput)
        return (try #require(report["nll"]?.doubleValue), try #require(report["tokens"]?.intValue))
    }

    @Test(arguments: [0, 2]) func publishedLikelihood(ranks: Int) throws {
        let golden = try JSONValue.parse(contentsOf: "\(model)/golden.json")
        let file = directory.path("sentence.jsonl")
        try JSONValue.object([JSONMember("text", golden["sentence"]!)]).serialized().write(toFile: file, atomically: true, encoding: .utf8)
        let (nll, tokens) = try evaluate(["--model", model, "--perplexity", file], ranks: ranks)
        #expect(tokens == golden["n_tokens"]!.intValue! - 1)
        #expect(abs(nll * Double(tokens) - golden["nll"]!.doubleValue!) < 1e-3)
    }

    @Test func pruneTrainRecoverEvaluate() throws {
        let source = try #require(SharedData.path("text/tinystories_sample_2MiB.txt"))
        let text = try String(decoding: Data(contentsOf: URL(fileURLWithPath: source)).prefix(60_000), as: UTF8.self)
        let training = directory.path("training.txt"), heldOut = directory.path("held-out.txt")
        try text.prefix(40_000).write(toFile: training, atomically: true, encoding: .utf8)
        try text.suffix(10_000).write(toFile: heldOut, atomically: true, encoding: .utf8)
        let pruned = directory.path("pruned"), run = RunOutput(path: directory.path("run"))

        let pruning = try CommandRun.run(
            ["prune", "--model", model, "--output", pruned, "--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"])
        #expect(pruning.exitCode == 0, "\(pruning.standardError)")
        let trained = try CommandRun.run(
            ["train"]
                + settings([
                    ("model", model), ("trained_on", pruned), ("output", run.path), ("data.train", "[{path: \(training)}]"), ("data.length", "64"),
                    ("data.packing", "true"), ("data.evaluation", "[{name: stories, path: \(heldOut)}]"), ("batch.global", "16"), ("batch.micro", "2"),
                    ("optimizer.learning_rate", "0.01"), ("schedule.warmup_steps", "2"), ("schedule.steps", "20"), ("evaluation.every", "10"),
                    ("parallel.stages", "2"), ("parallel.replicas", "2"), ("parallel.threads", "1"),
                ] + plainNumbers), ranks: 4)
        #expect(trained.exitCode == 0, "\(trained.standardError)")
        // The model ties its head to the embedding: said once.
        #expect(trained.errorLines(containing: "leave lm_head out").count == 1)
        let losses = try run.numbers("loss")
        #expect(losses.count == 20 && losses.last! < losses.first! - 0.3)
        #expect(run.names.isSuperset(of: ["recipe.resolved.yaml", "metrics.jsonl", "log.txt", "checkpoints", "adapter-pruned", "adapter"]))

        let recovered = directory.path("recovered")
        let recovery = try CommandRun.run(
            ["recover", "--model", model, "--pruned", pruned, "--adapter", "\(run.path)/adapter-pruned", "--output", recovered, "--json"])
        #expect(recovery.exitCode == 0, "\(recovery.standardError)")
        #expect(try JSONValue.parse(recovery.standardOutput) == ["adapter": .string(recovered)])
        for name in ["adapter_model.safetensors", "adapter_config.json"] {
            #expect(try RunOutput(path: recovered).bytes(name) == run.bytes("adapter/\(name)"), "\(name)")
        }

        let text64 = ["--perplexity", heldOut, "--length", "64"]
        let base = try evaluate(["--model", model] + text64), small = try evaluate(["--model", pruned] + text64)
        let smallTrained = try evaluate(["--model", pruned, "--adapter", "\(run.path)/adapter-pruned"] + text64)
        let lora = try evaluate(["--model", model, "--adapter", recovered] + text64, ranks: 2)
        #expect(base.tokens == lora.tokens && base.tokens == small.tokens && base.tokens > 1000)
        #expect(base.nll < small.nll, "pruning costs")
        #expect(smallTrained.nll < small.nll - 0.1, "training helps the pruned model")
        #expect(lora.nll != base.nll && lora.nll < small.nll)
        // The training evaluated the same texts with the same model.
        let last = try String(contentsOfFile: "\(run.path)/metrics.jsonl", encoding: .utf8).split(separator: "\n")
            .compactMap { try JSONValue.parse(String($0))["eval/stories"]?.doubleValue }
        #expect(last.count == 2 && relativeDifference(last[1], exp(smallTrained.nll)) < 1e-6)

        // An adapter does not fit the other model.
        let crossed = try CommandRun.run(["evaluate", "--model", model, "--adapter", "\(run.path)/adapter-pruned"] + text64)
        #expect(crossed.exitCode == 65 && crossed.ownErrorLines.count == 1, "\(crossed.standardError)")
    }
}

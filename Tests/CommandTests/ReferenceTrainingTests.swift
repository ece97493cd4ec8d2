import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Twenty updates through the commands against those of transformers + PEFT (Tests/fixtures-src/make_parity.py).
@Suite struct ReferenceTrainingTests {
    static let cases = ["llama2", "llama31", "odd_head_dim", "tied", "pruned"]

    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// The fixture's documents as `input_ids` records, one sample each; those without a label add nothing to a sum over tokens.
    func writeData(_ name: String) throws -> (path: String, count: Int) {
        let batches = try #require(JSONValue.parse(contentsOf: Fixtures.path("parity/\(name)/input.json")).arrayValue)
        let documents = batches.flatMap { $0.arrayValue ?? [] }.filter { document in
            document["labels"]!.arrayValue!.dropFirst().contains { $0.intValue != Int(MicroBatch.ignoredLabel) }
        }
        let path = directory.path("data.jsonl")
        try documents.map { $0.serialized() }.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
        return (path, documents.count)
    }

    func check(_ phase: String, _ name: String, extra: [(String, String)], ranks: Int) throws {
        let (path, count) = try writeData(name)
        let expected = try #require(JSONValue.parse(contentsOf: Fixtures.path("parity/\(name)/expected.json"))["\(phase == "train" ? "lora" : "dense")_training"])
        func text(_ key: String) throws -> String { try #require(expected[key]).serialized() }
        let prefix = phase == "train" ? "" : "alignment.", output = RunOutput(path: directory.path("run"))
        let shared = try [
            ("data.train", "[{path: \(path)}]"), ("data.length", "64"), ("data.shuffle", "false"), ("data.packing", "false"),
            ("batch.global", "\(count)"), ("batch.micro", "1"), ("optimizer.learning_rate", text("learning_rate")), ("optimizer.betas", text("betas")),
            ("optimizer.eps", text("eps")), ("optimizer.weight_decay", text("weight_decay")), ("optimizer.clip_norm", text("clip_norm")),
            ("schedule.kind", "cosine"), ("schedule.warmup_steps", text("warmup_steps")), ("schedule.steps", text("steps")),
        ].map { ("\(prefix)\($0)", $1) }
        let outcome = try CommandRun.run(
            [phase] + settings([("model", Fixtures.path("parity/\(name)/model")), ("output", output.path)] + shared + extra + plainNumbers), ranks: ranks)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        for (key, reference, tolerance) in [("loss", "losses_f64", 1e-4), ("grad_norm", "grad_norms_f64", 1e-3), ("learning_rate", "learning_rates", 1e-9)] {
            let found = try output.numbers(key), wanted = try #require(expected[reference]?.arrayValue)
            #expect(found.count == 20 && wanted.count == 20)
            for (update, (a, b)) in zip(found, wanted).enumerated() {
                #expect(abs(a - b.doubleValue!) <= tolerance * max(abs(b.doubleValue!), 1e-3), "\(key) of update \(update + 1)")
            }
        }
    }

    @Test(arguments: cases) func train(_ name: String) throws {
        let adapter = Fixtures.path("parity/\(name)/adapter")
        let settings = try JSONValue.parse(contentsOf: "\(adapter)/adapter_config.json")
        try check(
            "train", name,
            extra: [
                ("lora.rank", settings["r"]!.serialized()), ("lora.alpha", settings["lora_alpha"]!.serialized()), ("lora.dropout", "0"),
                ("lora.rslora", settings["use_rslora"]!.serialized()), ("lora.targets", settings["target_modules"]!.serialized()),
                ("lora.init_adapter", adapter),
            ], ranks: name == "pruned" && MPIRun.isAvailable ? 2 : 0)
    }

    @Test(arguments: cases) func align(_ name: String) throws {
        try check("align", name, extra: [("alignment.frozen", "[]")], ranks: name == "tied" && MPIRun.isAvailable ? 2 : 0)
    }
}

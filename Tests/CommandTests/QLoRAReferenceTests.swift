import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Fifty updates on a 4-bit checkpoint of transformers against PEFT + bitsandbytes (Tests/fixtures-src/make_qlora.py).
@Suite struct QLoRAReferenceTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// bitsandbytes computes in bf16 throughout, ours keeps the residual stream in f32: they agree in the second digit of a percent.
    @Test(arguments: [("bf16", 1e-2), ("f32", 1e-4)]) func losses(_ type: String, _ tolerance: Double) throws {
        let fixture = Fixtures.path("qlora"), output = RunOutput(path: directory.path("run"))
        let expected = try JSONValue.parse(contentsOf: "\(fixture)/expected.json")
        let rate = expected["learning_rate"]!.serialized()
        let outcome = try CommandRun.run(
            ["train"]
                + settings([
                    ("model", "\(fixture)/model"), ("output", output.path), ("data.train", "[{path: \(fixture)/data.jsonl}]"), ("data.length", "24"),
                    ("data.shuffle", "false"), ("batch.global", "4"), ("batch.micro", "2"), ("schedule.kind", "constant"), ("schedule.warmup_steps", "0"),
                    ("schedule.steps", "50"), ("optimizer.learning_rate", rate),
                    ("optimizer.clip_norm", "null"), ("lora.rank", "4"), ("lora.alpha", "8"), ("lora.dropout", "0"),
                    ("lora.targets", "[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]"), ("lora.init_adapter", "\(fixture)/adapter"),
                    ("compute.type", type),
                ]))
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let found = try output.numbers("loss"), wanted = (expected[type]?.arrayValue ?? []).map { $0.doubleValue ?? .nan }
        #expect(found.count == 50 && wanted.count == 50 && wanted.last! < wanted.first! - 0.5)
        for (update, (a, b)) in zip(found, wanted).enumerated() { #expect(abs(a - b) <= tolerance * b, "update \(update + 1)") }
    }
}

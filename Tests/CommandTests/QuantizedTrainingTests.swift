import LoRAMEngine
import TestSupport
import Testing

/// Quantizing while loading is quantizing before.
@Suite struct QuantizedTrainingTests {
    @Test func atLoadAsFromADirectory() throws {
        let project = try Project()
        var config = Project.config()
        // The type that embedding and norms have in a quantized checkpoint.
        config.dtype = .bf16
        let plain = try project.writeCheckpoint("plain", config), quantized = project.path("quantized")
        let made = try CommandRun.run(["quantize", "--model", plain, "--output", quantized])
        #expect(made.exitCode == 0, "\(made.standardError)")
        func train(_ model: String, _ name: String, _ type: String) throws -> RunOutput {
            let output = RunOutput(path: project.path(name))
            let outcome = try CommandRun.run(
                ["train"]
                    + settings([
                        ("model", model), ("output", output.path), ("lora.rank", "4"), ("data.train", "[{path: \(project.tokens)}]"), ("data.length", "24"),
                        ("batch.global", "4"), ("batch.micro", "2"), ("optimizer.learning_rate", "0.01"), ("schedule.warmup_steps", "1"),
                        ("schedule.steps", "4"), ("quantization.type", type),
                    ]))
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            return output
        }
        let atLoad = try train(plain, "at-load", "nf4"), before = try train(quantized, "before", "nf4"), whole = try train(plain, "whole", "none")
        #expect(try atLoad.curve() == before.curve())
        #expect(try atLoad.bytes("adapter/adapter_model.safetensors") == before.bytes("adapter/adapter_model.safetensors"))
        #expect(try atLoad.curve() != whole.curve())
    }
}

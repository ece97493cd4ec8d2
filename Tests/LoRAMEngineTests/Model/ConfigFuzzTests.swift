import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Mutated configuration files either load or end in one line of ours.
@Suite struct ConfigFuzzTests {
    @Test(arguments: 0..<4) func modelConfigurations(seed: UInt64) throws {
        var random = SequentialRandom(CounterRandom(seed: seed, name: "config fuzz"))
        var config = try LlamaConfig(file: FormatsFixture.path("sharded/config.json"))
        if seed % 2 == 0 { config.layers[1].intermediateSize = 7 }
        let text = config.configJSON().serializedBytes()
        var counts = (read: 0, refused: 0)
        for _ in 0..<1500 {
            do {
                let config = try LlamaConfig(json: JSONValue.parse(mutated(text, with: &random)), path: "c")
                #expect(config.parameterCount > 0 && config.layers.allSatisfy { $0.headCount % $0.keyValueHeadCount == 0 })
                // A pathological but legal layer count would only cost time here.
                if config.layerCount < 100 { #expect(try LlamaConfig(json: config.configJSON(), path: "c") == config) }
                counts.read += 1
            } catch let error as any DiagnosedError {
                #expect(error.exitCode == .badInput && !error.description.contains("\n"))
                counts.refused += 1
            }
        }
        #expect(counts.read > 50 && counts.refused > 200)
    }

    /// Files of a checkpoint and of an adapter, one mutated at a time.
    @Test(arguments: [
        ("sharded", "model.safetensors.index.json"), ("sharded", "model-00002-of-00004.safetensors"), ("adapter", "adapter_config.json"),
        ("adapter", "adapter_model.safetensors"),
    ])
    func directories(name: String, file: String) throws {
        var random = SequentialRandom(CounterRandom(seed: 11, name: file))
        let directory = try TemporaryDirectory()
        let path = directory.path("d")
        try FileManager.default.copyItem(atPath: FormatsFixture.path(name), toPath: path)
        let original = try MappedFile(path: "\(path)/\(file)").withBytes { Array($0) }
        var refused = 0
        for _ in 0..<300 {
            try Data(mutated(original, with: &random)).write(to: URL(fileURLWithPath: "\(path)/\(file)"))
            do {
                if name == "adapter" {
                    let config = try LlamaConfig(file: FormatsFixture.path("sharded/config.json"))
                    try Adapter(directory: path).validate(for: config)
                } else {
                    let checkpoint = try Checkpoint(directory: path)
                    try checkpoint.validate()
                    for (name, shape) in WeightLayout.names(checkpoint.config) { _ = try weightValues(checkpoint, name, shape) }
                }
                _ = try Inspection(path: path).description
            } catch let error as any DiagnosedError {
                #expect(error.exitCode == .badInput && !error.description.contains("\n"))
                refused += 1
            }
        }
        #expect(refused > 30)
    }
}

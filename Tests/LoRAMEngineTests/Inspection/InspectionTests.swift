import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct InspectionTests {
    @Test func describesASafetensorsFile() throws {
        let inspection = try Inspection(path: FormatsFixture.path("types.safetensors"))
        #expect(inspection.kind == .safetensors && inspection.tensors.count == 17)
        #expect(inspection.json["tensor_count"] == 17)
        #expect(inspection.json["metadata"]?["format"] == "pt")
        let scalar = inspection.json["tensors"]?.arrayValue?.first { $0["name"] == "scalar" }
        #expect(scalar?["shape"] == [] && scalar?["dtype"] == "F32" && scalar?["bytes"] == 4)
        // A line break in metadata must not break the table.
        let lines = inspection.description.split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("metadata: note") && $0.hasSuffix(#"ü "quoted"\n"#) })
        #expect(lines.contains { $0.hasPrefix("uint8") && $0.contains("U8") })
    }

    @Test func describesCheckpoints() throws {
        let whole = try Inspection(path: FormatsFixture.path("sharded"))
        #expect(whole.kind == .checkpoint && whole.problem == nil)
        #expect(whole.parameterCount == whole.config?.parameterCount && whole.byteCount == 2 * whole.parameterCount!)
        #expect(whole.json["config"]?["heads"] == 4 && whole.json["config"]?["rope_scaling"] == "llama3")
        #expect(Set(whole.tensors.map(\.file)).count == 4)

        let directory = try TemporaryDirectory()
        let path = directory.path("pruned")
        var config = try #require(whole.config)
        config.layers[0].intermediateSize = 5
        let writer = try CheckpointWriter(
            path: path, tensors: [TensorInfo(name: "x", dtype: .f32, shape: [1])],
            configuration: config.configJSON(pruning: .init(method: "rand", ratio: 0.65)))
        try writer.append(floats: [1], count: 1, to: "x")
        let plan: JSONValue = ["method": "rand", "seed": 42, "layers": [[], []]]
        try writer.addFile("pruning_plan.json", plan.serializedBytes())
        try writer.finish()
        let pruned = try Inspection(path: path)
        #expect(pruned.kind == .prunedCheckpoint)
        #expect(pruned.json["method"] == "rand" && pruned.json["ratio"] == 0.65)
        #expect(pruned.json["plan"] == ["method": "rand", "seed": 42, "layers": "2 entries"])
        #expect(pruned.json["config"]?["intermediate_size"] == [5, 24])
        #expect(pruned.problem?.contains(WeightName.embedding) == true)
    }

    @Test func describesAdaptersAndConfigurations() throws {
        let adapter = try Inspection(path: FormatsFixture.path("adapter"))
        #expect(adapter.kind == .adapter && adapter.json["rank"] == 2 && adapter.json["targets"] == ["q_proj", "down_proj", "lm_head"])
        #expect(adapter.parameterCount == 2 * (2 * (16 + 16) + 2 * (24 + 16) + (16 + 32)))
        let config = try Inspection(path: FormatsFixture.path("tied/config.json"))
        #expect(config.kind == .configuration && config.json["config"]?["tied"] == true)
    }

    @Test func saysWhatItDoesNotKnow() throws {
        let directory = try TemporaryDirectory()
        #expect(try Inspection(path: directory.path).kind == .unknown)
        try OutputFile.write(Array("hello".utf8), to: directory.path("x"))
        #expect(try Inspection(path: directory.path("x")).kind == .unknown)
        #expect(throws: FileError.self) { try Inspection(path: directory.path("missing")) }
        try OutputFile.write([1, 2, 3], to: directory.path("x.safetensors"))
        #expect(throws: SafetensorsError.self) { try Inspection(path: directory.path("x.safetensors")) }
    }

    @Test(.enabled(if: SharedData.path("tokenizers") != nil, "needs shared/data"), arguments: [("llama-2", "SentencePiece"), ("llama-3", "tiktoken")])
    func recognisesTokenizers(name: String, format: String) throws {
        let inspection = try Inspection(path: #require(SharedData.path("tokenizers/\(name)/tokenizer.model")))
        #expect(inspection.kind == .tokenizer && inspection.json["format"] == .string(format))
    }
}

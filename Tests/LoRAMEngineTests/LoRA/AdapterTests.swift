import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct AdapterTests {
    @Test func readsWhatPEFTWrote() throws {
        let config = try LlamaConfig(file: FormatsFixture.path("sharded/config.json"))
        let adapter = try Adapter(directory: FormatsFixture.path("adapter"))
        try adapter.validate(for: config)
        #expect(adapter.lora == LoRAConfig(rank: 2, alpha: 4, dropout: 0.05, targets: [.q, .down, .lmHead]))
        #expect(adapter.modules == AdapterModule.all(targets: [.q, .down, .lmHead], config: config))
        #expect(adapter.file.contains("base_model.model.lm_head.base_layer.weight"))
        for module in adapter.modules {
            let expected = module.site.shape(in: config, layer: module.layer)
            let found = try adapter.width(of: module)
            #expect(found.out == expected.out && found.in == expected.in)
            var b = [Float](repeating: 0, count: expected.out * 2)
            try b.withUnsafeMutableBufferPointer { try adapter.copyFloats(module.bName, shape: [expected.out, 2], into: $0.baseAddress!) }
            #expect(b.contains { $0 != 0 })
        }
    }

    @Test func derivesTargetsOfPatternsFromTheTensors() throws {
        let pattern = try Adapter(directory: FormatsFixture.path("adapter-pattern"))
        #expect(pattern.lora == LoRAConfig(rank: 3, alpha: 5, rankStabilized: true, targets: [.v, .up]))
        #expect(pattern.modules == [AdapterModule(site: .v, layer: 1), AdapterModule(site: .up, layer: 1)])
        #expect(abs(pattern.lora.scale - 5 / Float(3).squareRoot()) < 1e-6)
        #expect(try Adapter(directory: FormatsFixture.path("adapter-all-linear")).lora.targets == LinearSite.inLayer)
    }

    @Test func refusesWhatPEFTCanAndWeCannot() throws {
        for (name, key) in [("adapter-dora", "use_dora"), ("adapter-ranks", "rank_pattern")] {
            let error = caught(AdapterError.self) { _ = try Adapter(directory: FormatsFixture.path(name)) }
            guard case .unsupported(_, key, _, _)? = error else {
                Issue.record("found \(String(describing: error))")
                continue
            }
        }
    }

    @Test(arguments: [
        ("peft_type", "IA3", "peft_type"), ("peft_type", nil, "peft_type"), ("r", 0, "r"), ("r", nil, "r"), ("r", "2", "r"),
        ("lora_alpha", nil, "lora_alpha"), ("lora_dropout", 1.0, "lora_dropout"), ("bias", "all", "bias"),
        ("alpha_pattern", ["q_proj": 3], "alpha_pattern"), ("modules_to_save", ["embed_tokens"], "modules_to_save"),
        ("fan_in_fan_out", true, "fan_in_fan_out"), ("lora_bias", true, "lora_bias"), ("init_lora_weights", "pissa_niter_4", "init_lora_weights"),
        ("layer_replication", [[0, 1]], "layer_replication"), ("target_parameters", ["x"], "target_parameters"),
        ("target_modules", ["q_proj", "wq"], "target_modules"), ("target_modules", ["q_proj", "down_proj"], "target_modules"),
        ("target_modules", 3, "target_modules"), ("target_modules", ["q_proj", "down_proj", "lm_head", "k_proj"], "target k_proj"),
        ("use_rslora", "yes", "use_rslora"), ("r", 3, "lora_A"),
    ] as [(String, JSONValue?, String)])
    func refusesSettings(key: String, value: JSONValue?, named: String) throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("a")
        try FileManager.default.copyItem(atPath: FormatsFixture.path("adapter"), toPath: path)
        var json = try JSONValue.parse(contentsOf: "\(path)/adapter_config.json")
        json[key] = value
        try OutputFile.write(json.serializedBytes(), to: "\(path)/adapter_config.json")
        let error = caught(AdapterError.self) { _ = try Adapter(directory: path) }
        #expect(error?.exitCode == .badInput)
        #expect(error?.description.contains(named) == true, "\(String(describing: error))")
        #expect(error?.description.contains("\n") == false)
    }

    private let lora = LoRAConfig(rank: 2, alpha: 16, dropout: 0.1, targets: [.q])
    private let aName = AdapterName.a(.q, layer: 0)
    private let bName = AdapterName.b(.q, layer: 0)

    private func write(_ path: String, _ tensors: [(String, [Int], [Float])], extra: [JSONMember] = []) throws {
        let writer = try AdapterWriter(
            path: path, lora: lora, tensors: tensors.map { ($0.0, $0.1) }, baseModel: "base/model", extra: extra)
        for (name, _, values) in tensors { try writer.append(values, count: values.count, to: name) }
        try writer.finish()
    }

    @Test func writesWhatItReadsAndReplacesSafely() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("adapter")
        let a: [Float] = [1, 2, 3, 4, 5, 6]
        let b: [Float] = [0.5, -0.5, 1e-7, 8, 9, 10, 11, 12]
        for round in 0..<2 {
            try write(path, [(aName, [2, 3], a), (bName, [4, 2], b)], extra: [JSONMember("round", .integer(round))])
        }
        let adapter = try Adapter(directory: path)
        #expect(adapter.lora == lora && adapter.baseModel == "base/model" && adapter.configuration["round"] == 1)
        var read = [Float](repeating: 0, count: 8)
        try read.withUnsafeMutableBufferPointer { try adapter.copyFloats(bName, shape: [4, 2], into: $0.baseAddress!) }
        #expect(read == b)
        #expect(throws: AdapterError.self) {
            try read.withUnsafeMutableBufferPointer { try adapter.copyFloats(bName, shape: [2, 4], into: $0.baseAddress!) }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["adapter"])
    }

    @Test func anAdapterCutShortKeepsTheOldOne() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("adapter")
        let tensors: [(String, [Int], [Float])] = [(aName, [2, 1], [1, 2]), (bName, [1, 2], [3, 4])]
        try write(path, tensors)
        #expect(throws: SafetensorsError.self) { try write(path, [tensors[0], (bName, [1, 2], [3])]) }
        #expect(try Adapter(directory: path).modules.count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["adapter"])
    }

    @Test func refusesTensorsThatDoNotBelong() throws {
        let directory = try TemporaryDirectory()
        let good: [(String, [Int], [Float])] = [(aName, [2, 1], [1, 2]), (bName, [1, 2], [3, 4])]
        let cases: [([(String, [Int], [Float])], String)] = [
            ([good[0]], "lora_B"),
            ([good[0], (bName, [1, 3], [3, 4, 5])], "[out, 2]"),
            ([(aName, [1, 2], [1, 2]), good[1]], "[2, in]"),
            ([(aName, [2], [1, 2]), good[1]], "[2, in]"),
            (good + [("base_model.model.model.embed_tokens.lora_embedding_A", [1], [1])], "embed_tokens"),
            (good + [("base_model.model.model.layers.+1.self_attn.q_proj.lora_A.weight", [2, 1], [1, 1])], "layers.+1"),
            (good + [("base_model.model.model.layers.00.self_attn.q_proj.lora_A.weight", [2, 1], [1, 1])], "layers.00"),
            (good + [("base_model.model.model.layers.0.mlp.q_proj.lora_A.weight", [2, 1], [1, 1])], "mlp.q_proj"),
            (good + [("lm_head.weight", [1], [1])], "lm_head.weight"),
            ([(aName, [2, 1], [1, .nan]), good[1]], "element 1"),
            ([], "found none"),
        ]
        for (index, (tensors, named)) in cases.enumerated() {
            let path = directory.path("a\(index)")
            try write(path, tensors)
            let error = caught(AdapterError.self) { _ = try Adapter(directory: path) }
            #expect(error?.description.contains(named) == true, "\(index): \(String(describing: error))")
        }
    }

    @Test func refusesAnAdapterOfAnotherModel() throws {
        let adapter = try Adapter(directory: FormatsFixture.path("adapter"))
        var config = try LlamaConfig(file: FormatsFixture.path("sharded/config.json"))
        config.layers[1].intermediateSize = 23
        #expect(
            caught(AdapterError.self) { try adapter.validate(for: config) }
                == .wrongShape(path: adapter.file.path, tensor: AdapterName.a(.down, layer: 1), expected: "[2, 23] as the model has it", found: [2, 24]))
        config.layers.removeLast()
        #expect(throws: AdapterError.self) { try adapter.validate(for: config) }
    }
}

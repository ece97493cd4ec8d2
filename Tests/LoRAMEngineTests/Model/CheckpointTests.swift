import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// All values of a weight.
func weightValues(_ source: some TensorSource, _ name: String, _ shape: [Int], rows: Range<Int>? = nil) throws -> [Float] {
    let count = (rows?.count ?? shape[0]) * shape.dropFirst().reduce(1, *)
    var result = [Float](repeating: .nan, count: count)
    try result.withUnsafeMutableBufferPointer { try source.copyFloats(name, shape: shape, rows: rows, into: $0.baseAddress!) }
    return result
}

@Suite struct CheckpointTests {
    @Test(arguments: ["sharded", "tied"]) func readsWhatTransformersWrote(name: String) throws {
        let checkpoint = try Checkpoint(directory: FormatsFixture.path(name))
        try checkpoint.validate()
        #expect(checkpoint.config.tiesWordEmbeddings == (name == "tied"))
        #expect(checkpoint.config.dtype == (name == "tied" ? .f32 : .bf16))
        #expect(checkpoint.config.eosTokenIDs == [2, 3] && checkpoint.config.rope.theta == 500_000)
        #expect(checkpoint.shardNames.count == (name == "tied" ? 1 : 4))
        let expected = try #require(FormatsFixture.json("models.json")[name])
        let names = WeightLayout.names(checkpoint.config)
        #expect(try Set(checkpoint.tensorNames()) == Set(names.map(\.name)))
        for (tensor, shape) in names {
            let reference = try #require(expected[tensor])
            #expect(reference["shape"]?.arrayValue?.compactMap(\.intValue) == shape)
            let all = try weightValues(checkpoint, tensor, shape)
            #expect(all.last.map(Double.init) == reference["last"]?.doubleValue)
            #expect(abs(all.reduce(0) { $0 + Double($1) } - reference["sum"]!.doubleValue!) < 1e-9)
            #expect(try weightValues(checkpoint, tensor, shape, rows: 3..<7) == Array(all[3 * (all.count / shape[0])..<7 * (all.count / shape[0])]))
        }
        #expect(checkpoint.contains("lm_head.weight") == (name == "sharded"))
    }

    /// A copy of a fixture to damage.
    private func copy(_ name: String) throws -> (TemporaryDirectory, String) {
        let directory = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: FormatsFixture.path(name), toPath: directory.path("m"))
        return (directory, directory.path("m"))
    }

    private func edit(_ path: String, _ change: (inout JSONValue) -> Void) throws {
        var json = try JSONValue.parse(contentsOf: path)
        change(&json)
        try OutputFile.write(json.serializedBytes(), to: path)
    }

    @Test func saysWhatIsMissing() throws {
        let (directory, path) = try copy("sharded")
        defer { withExtendedLifetime(directory) {} }
        let config = try LlamaConfig(file: "\(path)/config.json")
        let index = "\(path)/model.safetensors.index.json"
        let checkpoint = try Checkpoint(directory: path)
        #expect(
            caught(CheckpointError.self) { _ = try checkpoint.tensor("nothing") } == .missingTensor(directory: path, tensor: "nothing"))
        #expect(
            caught(CheckpointError.self) { _ = try weightValues(checkpoint, "lm_head.weight", [32, 8]) }
                == .wrongShape(
                    path: "\(path)/\(checkpoint.shardNames[0])", tensor: "lm_head.weight", expected: [32, 8], found: [config.vocabularySize, 16]))

        // The index places a tensor in a file that has it not.
        let norm = WeightName.finalNorm
        var wrong = ""
        try edit(index) { json in
            let right = json["weight_map"]?[norm]?.stringValue
            wrong = (1...4).map { "model-0000\($0)-of-00004.safetensors" }.first { $0 != right }!
            json["weight_map"]?[norm] = .string(wrong)
        }
        #expect(
            caught(CheckpointError.self) { try Checkpoint(directory: path).validate() }
                == .notInShard(file: "\(path)/\(wrong)", tensor: norm))

        try FileManager.default.removeItem(atPath: "\(path)/\(wrong)")
        #expect(caught(CheckpointError.self) { _ = try Checkpoint(directory: path) } == .missingShard(index: index, file: wrong))
        try FileManager.default.removeItem(atPath: index)
        #expect(caught(CheckpointError.self) { _ = try Checkpoint(directory: path) } == .noWeights(directory: path))
    }

    @Test(arguments: ["../m/model-00001-of-00004.safetensors", "/etc/passwd", "", "."])
    func refusesIndexesThatLeaveTheDirectory(file: String) throws {
        let (directory, path) = try copy("sharded")
        defer { withExtendedLifetime(directory) {} }
        try edit("\(path)/model.safetensors.index.json") { $0["weight_map"]?[WeightName.finalNorm] = .string(file) }
        let error = caught(CheckpointError.self) { _ = try Checkpoint(directory: path) }
        #expect(error?.description.contains("expected plain file names") == true)
    }

    @Test(arguments: ["", "{", "[]", "{}", "{\"weight_map\": []}", "{\"weight_map\": {\"a\": 1}}"])
    func refusesBrokenIndexes(text: String) throws {
        let (directory, path) = try copy("sharded")
        defer { withExtendedLifetime(directory) {} }
        try OutputFile.write(Array(text.utf8), to: "\(path)/model.safetensors.index.json")
        #expect(caught(CheckpointError.self) { _ = try Checkpoint(directory: path) }?.exitCode == .badInput)
    }

    @Test func refusesMissingAndForeignWeights() throws {
        let (directory, path) = try copy("tied")
        defer { withExtendedLifetime(directory) {} }
        // An untied configuration asks for a head that the file has not.
        try edit("\(path)/config.json") { $0["tie_word_embeddings"] = false }
        #expect(
            caught(CheckpointError.self) { try Checkpoint(directory: path).validate() }
                == .missingTensor(directory: path, tensor: WeightName.lmHead))
        try edit("\(path)/config.json") { $0["tie_word_embeddings"] = true; $0["hidden_size"] = 20; $0["head_dim"] = 4 }
        #expect(
            caught(CheckpointError.self) { try Checkpoint(directory: path).validate() }
                == .wrongShape(path: "\(path)/model.safetensors", tensor: WeightName.embedding, expected: [32, 20], found: [32, 16]))
    }

    @Test func refusesNonFiniteValuesAndOtherTypes() throws {
        let directory = try TemporaryDirectory()
        var config = try LlamaConfig(file: FormatsFixture.path("tied/config.json"))
        config.layers = []
        for (index, bad) in [Float.nan, .infinity, -.infinity].enumerated() {
            let path = directory.path("m\(index)")
            let writer = try CheckpointWriter(
                path: path, tensors: [TensorInfo(name: "a", dtype: .f32, shape: [4, 3]), TensorInfo(name: "b", dtype: .u8, shape: [1])],
                configuration: FormatsFixture.json("tied/config.json"))
            var numbers = [Float](repeating: 1, count: 12)
            numbers[7] = bad
            try writer.append(floats: numbers, count: 12, to: "a")
            try [UInt8]([1]).withUnsafeBytes { try writer.append($0, to: "b") }
            try writer.finish()
            let checkpoint = try Checkpoint(directory: path)
            let file = "\(path)/model.safetensors"
            #expect(try weightValues(checkpoint, "a", [4, 3], rows: 0..<2) == [1, 1, 1, 1, 1, 1])
            #expect(
                caught(CheckpointError.self) { _ = try weightValues(checkpoint, "a", [4, 3], rows: 2..<3) }
                    == .nonFinite(path: file, tensor: "a", element: 7))
            #expect(
                caught(CheckpointError.self) { _ = try weightValues(checkpoint, "b", [1]) } == .wrongDType(path: file, tensor: "b", found: .u8))
        }
    }

    @Test(.enabled(if: SharedData.path("models/stories260K") != nil, "needs shared/data"))
    func readsTheRealModel() throws {
        let checkpoint = try Checkpoint(directory: #require(SharedData.path("models/stories260K")))
        try checkpoint.validate()
        for (name, shape) in WeightLayout.names(checkpoint.config) {
            #expect(try weightValues(checkpoint, name, shape).contains { $0 != 0 })
        }
    }
}

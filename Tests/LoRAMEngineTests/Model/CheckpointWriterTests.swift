import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct CheckpointWriterTests {
    /// A small model, optionally pruned in its second layer.
    private func config(pruned: Bool) throws -> LlamaConfig {
        var config = try LlamaConfig(file: FormatsFixture.path("sharded/config.json"))
        if pruned { config.layers[1] = LayerGeometry(headCount: 2, keyValueHeadCount: 1, intermediateSize: 9) }
        return config
    }

    /// Writes random weights of a model.
    private func write(_ config: LlamaConfig, to path: String, maxShardByteCount: Int, replacing: Bool = false) throws {
        let source = SyntheticWeights(config: config, seed: 4)
        let writer = try CheckpointWriter(
            path: path, tensors: WeightLayout.names(config).map { TensorInfo(name: $0.name, dtype: config.dtype, shape: $0.shape) },
            configuration: config.configJSON(pruning: config.isUniform ? nil : .init(method: "rand", ratio: 0.5)),
            companionsFrom: SharedData.path("models/stories260K") ?? FormatsFixture.path("sharded"), maxShardByteCount: maxShardByteCount,
            replacing: replacing)
        for (name, shape) in WeightLayout.names(config) {
            // Row by row, as a stream comes.
            for row in 0..<shape[0] {
                let part = try weightValues(source, name, shape, rows: row..<row + 1)
                try writer.append(floats: part, count: part.count, to: name)
            }
        }
        try writer.finish()
    }

    @Test(arguments: [(false, 1 << 30, 1), (false, 3000, 4), (true, 3000, 3), (true, 1, 21)])
    func writesShardsThatItReads(pruned: Bool, maxShardByteCount: Int, shardCount: Int) throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("model")
        let config = try config(pruned: pruned)
        try write(config, to: path, maxShardByteCount: maxShardByteCount)

        let checkpoint = try Checkpoint(directory: path)
        try checkpoint.validate()
        #expect(checkpoint.config == config)
        #expect(checkpoint.shardNames.count == shardCount)
        #expect(try checkpoint.tensorNames() == WeightLayout.names(config).map(\.name))
        #expect(FilePath.exists("\(path)/model.safetensors.index.json") == (shardCount > 1))
        #expect(FilePath.exists("\(path)/modeling_loram.py") == pruned)
        #expect(FilePath.exists("\(path)/tokenizer.model") == (SharedData.path("models/stories260K") != nil))
        let source = SyntheticWeights(config: config, seed: 4)
        for (name, shape) in WeightLayout.names(config) {
            #expect(try weightValues(checkpoint, name, shape) == weightValues(source, name, shape))
        }
        if shardCount > 1 {
            #expect(checkpoint.shardNames[0] == "model-00001-of-\(shardCount < 10 ? "0000" : "000")\(shardCount).safetensors")
            let index = try JSONValue.parse(contentsOf: "\(path)/model.safetensors.index.json")
            #expect(index["metadata"]?["total_size"]?.intValue == 2 * config.parameterCount)
            for number in 0..<shardCount {
                let tensors = try checkpoint.shard(number).tensors
                #expect(tensors.count == 1 || tensors.reduce(0) { $0 + $1.byteCount } <= maxShardByteCount)
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["model"])
    }

    @Test func abandonedOrIncompleteOutputsLeaveNothing() throws {
        let directory = try TemporaryDirectory()
        do {
            let writer = try CheckpointWriter(
                path: directory.path("m"),
                tensors: [TensorInfo(name: "a", dtype: .f32, shape: [2]), TensorInfo(name: "b", dtype: .f32, shape: [2])],
                configuration: [:], maxShardByteCount: 8)
            let numbers: [Float] = [1, 2]
            #expect(throws: SafetensorsError.self) { try writer.append(floats: numbers, count: 2, to: "b") }
            try writer.append(floats: numbers, count: 2, to: "a")
            #expect(throws: SafetensorsError.self) { try writer.append(floats: numbers, count: 1, to: "x") }
            #expect(throws: SafetensorsError.self) { try writer.finish() }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    @Test func replacesOnlyWhenAsked() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("m")
        let config = try config(pruned: false)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        // An empty directory is as good as none.
        try write(config, to: path, maxShardByteCount: 3000)
        #expect(caught(FileError.self) { try write(config, to: path, maxShardByteCount: 3000) } == .exists(path: path))
        #expect(try Checkpoint(directory: path).shardNames.count == 4)
        try write(config, to: path + "/", maxShardByteCount: 1 << 30, replacing: true)
        #expect(try Checkpoint(directory: path).shardNames == ["model.safetensors"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["m"])
    }

    @Test func noticesAFullDiskBeforeTheWork() throws {
        let directory = try TemporaryDirectory()
        let tensor = TensorInfo(name: "a", dtype: .f32, shape: [1 << 28, 1 << 28])
        let error = caught(CheckpointError.self) {
            _ = try CheckpointWriter(path: directory.path("m"), tensors: [tensor], configuration: [:])
        }
        guard case .noSpace(_, needed: 1 << 58, _)? = error else {
            Issue.record("found \(String(describing: error))")
            return
        }
        #expect(error?.exitCode == .failure)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }
}

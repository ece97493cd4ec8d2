import Foundation
import LoRAMEngine
import TestSupport

/// A folder with a small model, data and room for runs, as a user of the command line has it.
final class Project: Sendable {
    static let vocabularySize = 480

    let directory: TemporaryDirectory
    /// Directory of a bare config.json, for `synthetic_seed`, with a tokenizer beside it.
    let model: String
    /// Token ids of different lengths, every token but the first predicted.
    let tokens: String
    /// Records with `text`.
    let texts: String

    /// The model's head is its embedding.
    let tied: Bool

    init(
        layers: Int = 4, hidden: Int = 32, tied: Bool = false, positions: Int = 128, sampleCount: Int = 48, sampleLength: ClosedRange<Int> = 5...24
    ) throws {
        self.tied = tied
        directory = try TemporaryDirectory()
        model = directory.path("model")
        tokens = directory.path("tokens.jsonl")
        texts = directory.path("texts.jsonl")
        try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
        try Self.config(layers: layers, hidden: hidden, tied: tied, positions: positions).configJSON().serialized().write(toFile: "\(model)/config.json", atomically: true, encoding: .utf8)
        try FileManager.default.copyItem(atPath: Fixtures.path("data/llama_like.model"), toPath: "\(model)/tokenizer.model")
        var random = LinearCongruentialGenerator(seed: 11)
        try write(
            "tokens.jsonl",
            (0..<sampleCount).map { _ in
                let count = sampleLength.lowerBound + random.below(sampleLength.count)
                return "{\"input_ids\": \((0..<count).map { _ in 3 + random.below(Self.vocabularySize - 3) })}"
            })
        let names = ["Ada", "Noor", "Mei", "Ivo"], verbs = ["finds", "hides", "carries", "repairs"], things = ["a lantern", "seven apples", "the kettle"]
        try write(
            "texts.jsonl",
            (0..<40).map { _ in
                let sentences = (0...random.below(4)).map { _ in
                    "\(names[random.below(4)]) \(verbs[random.below(4)]) \(things[random.below(3)])."
                }
                return "{\"text\": \"\(sentences.joined(separator: " "))\"}"
            })
    }

    static func config(layers: Int = 4, hidden: Int = 32, tied: Bool = false, positions: Int = 128) -> LlamaConfig {
        let geometry = LayerGeometry(headCount: 4, keyValueHeadCount: 2, intermediateSize: 3 * hidden / 2)
        return LlamaConfig(
            hiddenSize: hidden, vocabularySize: vocabularySize, headDim: hidden / 4, maxPositionCount: positions,
            layers: Array(repeating: geometry, count: layers), rmsNormEpsilon: 1e-5, rope: RoPEConfig(theta: 10000), tiesWordEmbeddings: tied,
            dtype: .f32)
    }

    func path(_ name: String) -> String { directory.path(name) }

    @discardableResult
    func write(_ name: String, _ lines: [String]) throws -> String {
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: path(name)))
        return path(name)
    }

    /// Writes a checkpoint with random weights. `spoil` may change a tensor's values.
    @discardableResult
    func writeCheckpoint(_ name: String, _ config: LlamaConfig = config(), spoil: (String, inout [Float]) -> Void = { _, _ in }) throws -> String {
        let source = SyntheticWeights(config: config, seed: 3), weights = WeightLayout.names(config)
        let writer = try CheckpointWriter(
            path: path(name), tensors: weights.map { TensorInfo(name: $0.name, dtype: config.dtype, shape: $0.shape) },
            configuration: config.configJSON(), companionsFrom: model)
        for (name, shape) in weights {
            var values = [Float](repeating: 0, count: shape.reduce(1, *))
            try source.copyFloats(name, shape: shape, rows: nil, into: &values)
            spoil(name, &values)
            try writer.append(floats: values, count: values.count, to: name)
        }
        try writer.finish()
        return path(name)
    }
}

/// The committed fixtures of the engine's tests.
enum Fixtures {
    static func path(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("LoRAMEngineTests/Fixtures/\(name)").path
    }
}

/// `--set key=value` for each pair.
func settings(_ values: [(String, String)]) -> [String] { values.flatMap { ["--set", "\($0)=\($1)"] } }

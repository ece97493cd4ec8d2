import Foundation
import LoRAMEngine
import Testing

/// One case made by Tests/fixtures-src/make_parity.py with transformers and PEFT.
struct ParityFixture {
    let source: Checkpoint
    let adapter: Adapter
    let batches: [MicroBatch]
    let tensors: SafetensorsFile
    let expected: JSONValue

    static let names = ["llama2", "llama31", "odd_head_dim", "tied", "pruned"]

    init(_ name: String) throws {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/parity/\(name)").path
        source = try Checkpoint(directory: folder + "/model")
        adapter = try Adapter(directory: folder + "/adapter")
        tensors = try SafetensorsFile(path: folder + "/tensors.safetensors")
        expected = try Self.parse(folder + "/expected.json")
        let input = try #require(Self.parse(folder + "/input.json").arrayValue)
        batches = input.map { Self.batch($0.arrayValue ?? []) }
    }

    private static func parse(_ path: String) throws -> JSONValue {
        try JSONValue.parse([UInt8](Data(contentsOf: URL(fileURLWithPath: path))))
    }

    /// Documents laid one behind the other; labels in the file are unshifted, as transformers takes them.
    private static func batch(_ documents: [JSONValue]) -> MicroBatch {
        var batch = MicroBatch(tokenIDs: [], labels: [], segments: [], samples: [])
        for (index, document) in documents.enumerated() {
            let ids = (document["input_ids"]?.arrayValue ?? []).map { Int32($0.intValue!) }
            let labels = (document["labels"]?.arrayValue ?? []).map { Int32($0.intValue!) }
            batch.segments.append(.init(start: batch.tokenIDs.count, count: ids.count))
            batch.samples.append(.init(start: batch.tokenIDs.count, count: ids.count, sampleID: UInt64(index)))
            batch.tokenIDs += ids
            batch.labels += labels.dropFirst() + [MicroBatch.ignoredLabel]
        }
        return batch
    }

    var tokenCapacity: Int { batches.map(\.tokenCount).max() ?? 0 }
    var positionCapacity: Int { batches.flatMap(\.segments).map(\.count).max() ?? 0 }

    func stage(_ training: Training, threads: Int = 1, recomputation: Recomputation = .full, kernels: String? = nil) throws -> ModelStage {
        let stage = try ModelStage(
            source: source, range: .whole(source.config), training: training,
            capacity: StageCapacity(tokens: tokenCapacity, positions: positionCapacity, recomputation: recomputation),
            pool: ThreadPool(threadCount: threads), kernels: ComputeKernels(name: kernels))
        if training.lora != nil { try stage.loadParameters(from: adapter) }
        return stage
    }

    /// f32 values of a reference tensor.
    func reference(_ name: String) throws -> [Float] {
        let view = try tensors.tensor(name)
        var values = [Float](repeating: 0, count: view.info.elementCount)
        try values.withUnsafeMutableBufferPointer { try view.copyFloats(into: $0.baseAddress!) }
        return values
    }
}

/// Largest difference over the largest expected magnitude.
func relativeError(_ found: [Float], _ expected: [Float]) -> Double {
    guard found.count == expected.count else { return .infinity }
    var difference = 0.0, scale = 0.0
    for (a, b) in zip(found, expected) {
        difference = max(difference, abs(Double(a) - Double(b)))
        scale = max(scale, abs(Double(b)))
        if a.isNaN { return .nan }
    }
    return scale == 0 ? difference : difference / scale
}

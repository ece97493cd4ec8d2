import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Checkpoints to pack.
enum PackFixture {
    /// A directory with tensors of all types and awkward sizes, and files beside them; larger than a frame in one place.
    static func directory() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        var random = LinearCongruentialGenerator(seed: 5)
        var tensors: [(TensorInfo, [UInt8])] = []
        func add(_ name: String, _ dtype: DType, _ shape: [Int], _ byte: (Int) -> UInt8) {
            let info = TensorInfo(name: name, dtype: dtype, shape: shape)
            tensors.append((info, (0..<info.byteCount).map(byte)))
        }
        func noise(_: Int) -> UInt8 { UInt8(truncatingIfNeeded: random.next()) }
        for dtype in DType.allCases { add("noise.\(dtype.rawValue)", dtype, [7, 13], noise) }
        add("empty", .bf16, [0, 5], noise)
        add("scalar", .f32, [], noise)
        add("one", .u8, [1], noise)
        add("zeros", .f16, [300, 1000]) { _ in 0 }
        add("codes", .u8, [40_000, 1]) { UInt8(truncatingIfNeeded: $0 &* $0 % 7) }
        let weights = PackBenchmark.syntheticWeights(byteCount: 2 * 611 * 1000)
        tensors.append((TensorInfo(name: "weights", dtype: .bf16, shape: [611, 1000]), weights))
        let writer = try SafetensorsWriter(
            path: directory.path("model.safetensors"), tensors: tensors.map(\.0), metadata: [("format", "pt"), ("b", "2"), ("a", "1 \"q\" \u{e9}")])
        for (info, bytes) in tensors { try bytes.withUnsafeBytes { try writer.append($0, to: info.name) } }
        try writer.finish()
        try OutputFile.write(Array("{\"x\": 1}\n".utf8), to: directory.path("config.json"))
        try OutputFile.write([0, 255, 10], to: directory.path("tokenizer.model"))
        return directory
    }

    /// Names and contents of all files.
    static func contents(_ path: String) throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in try FilePath.names(inDirectory: path) { result[name] = try FileSystem.read("\(path)/\(name)") }
        return result
    }

    static func flip(_ path: String, byte: Int, bit: Int = 0) throws {
        var bytes = try FileSystem.read(path)
        bytes[byte] ^= 1 << UInt8(bit)
        try OutputFile.write(bytes, to: path)
    }

    static func pack(_ input: String, _ output: String, _ codec: Codec = .planes, hashes: Bool = true) throws -> StorageRun.Report {
        try StorageRun.pack(input, to: output, codec: codec, hashes: hashes, threads: 2)
    }
}

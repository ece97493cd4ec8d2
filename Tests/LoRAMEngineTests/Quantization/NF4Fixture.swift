import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Files made by Tests/fixtures-src/make_nf4_checkpoint.py with bitsandbytes and transformers.
enum NF4Fixture {
    static func path(_ name: String) throws -> String {
        try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/nf4/\(name)").path
    }

    static func file(_ name: String) throws -> SafetensorsFile { try SafetensorsFile(path: path(name)) }

    /// A copy of a checkpoint to damage.
    static func copy(_ name: String) throws -> (TemporaryDirectory, String) {
        let directory = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: path(name), toPath: directory.path("m"))
        return (directory, directory.path("m"))
    }

    static func editConfig(_ path: String, _ change: (inout JSONValue) -> Void) throws {
        var json = try JSONValue.parse(contentsOf: "\(path)/config.json")
        change(&json)
        try OutputFile.write(json.serializedBytes(), to: "\(path)/config.json")
    }

    /// Rewrites the weights with one tensor changed or, by nil, left out.
    static func edit(_ path: String, _ name: String, _ change: (TensorInfo, [UInt8]) -> (TensorInfo, [UInt8])?) throws {
        let file = try SafetensorsFile(path: "\(path)/model.safetensors")
        var tensors: [(TensorInfo, [UInt8])] = []
        for info in file.tensors {
            let bytes = try file.tensor(info.name).withBytes { Array($0) }
            if info.name != name {
                tensors.append((info, bytes))
            } else if let changed = change(info, bytes) {
                tensors.append(changed)
            }
        }
        let writer = try SafetensorsWriter(path: "\(path)/model.safetensors", tensors: tensors.map(\.0))
        for (info, bytes) in tensors { try bytes.withUnsafeBytes { try writer.append($0, to: info.name) } }
        try writer.finish()
    }
}

extension SafetensorsFile {
    func bytes(_ name: String) throws -> [UInt8] { try tensor(name).withBytes { Array($0) } }

    func floats(_ name: String) throws -> [Float] {
        let view = try tensor(name)
        var values = [Float](repeating: .nan, count: view.info.elementCount)
        try values.withUnsafeMutableBufferPointer { try view.copyFloats(into: $0.baseAddress!) }
        return values
    }
}

extension NF4Tensor {
    func floats(rows: Range<Int>? = nil) -> [Float] {
        var values = [Float](repeating: .nan, count: (rows?.count ?? shape[0]) * shape.dropFirst().reduce(1, *))
        values.withUnsafeMutableBufferPointer { copyFloats(rows: rows, into: $0.baseAddress!) }
        return values
    }

    func bytes(_ pointer: UnsafeRawPointer?, _ count: Int) -> [UInt8] {
        withExtendedLifetime(self) { pointer.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) } ?? [] }
    }
}

func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

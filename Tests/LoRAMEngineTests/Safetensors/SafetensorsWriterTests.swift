import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
    @Test func writesWhatItReads() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("w.safetensors")
        let tensors = [
            TensorInfo(name: "a", dtype: .f32, shape: [3, 5]), TensorInfo(name: "none", dtype: .f32, shape: [0, 4]),
            TensorInfo(name: "b", dtype: .bf16, shape: [7]), TensorInfo(name: "c", dtype: .f16, shape: []),
            TensorInfo(name: "ü\n", dtype: .u8, shape: [3]), TensorInfo(name: "last", dtype: .f32, shape: [0]),
        ]
        let values = (0..<15).map { Float($0) * 0.37 - 2 }
        let writer = try SafetensorsWriter(path: path, tensors: tensors, metadata: [("format", "pt"), ("k", "v")])
        // In pieces, across the write buffer's own boundaries.
        try writer.append(floats: values, count: 4, to: "a")
        try values.withUnsafeBufferPointer { try writer.append(floats: $0.baseAddress! + 4, count: 11, to: "a") }
        try writer.append(floats: values, count: 7, to: "b")
        try writer.append(floats: values, count: 1, to: "c")
        try [UInt8]([1, 2, 3]).withUnsafeBytes { try writer.append($0, to: "ü\n") }
        #expect(!FilePath.exists(path))
        try writer.finish()

        let file = try SafetensorsFile(path: path)
        #expect(file.header.dataStart % 4096 == 0)
        #expect(file.tensors == tensors)
        #expect(file.metadata.map { "\($0.key)=\($0.value)" } == ["format=pt", "k=v"])
        var read = [Float](repeating: 0, count: 15)
        try read.withUnsafeMutableBufferPointer { try file.tensor("a").copyFloats(into: $0.baseAddress!) }
        #expect(read == values)
        try read.withUnsafeMutableBufferPointer { try file.tensor("b").copyFloats(into: $0.baseAddress!) }
        #expect(Array(read[..<7]) == values[..<7].map { Float(bitPattern: UInt32(FloatConversion.bf16($0)) << 16) })
        #expect(try file.tensor("ü\n").withBytes { Array($0) } == [1, 2, 3])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["w.safetensors"])
    }

    @Test func streamsMoreThanItsBuffers() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("big.safetensors")
        let count = (1 << 18) * 3 + 17
        let values = (0..<count).map { Float($0 % 1013) * 0.001 }
        let writer = try SafetensorsWriter(
            path: path, tensors: [TensorInfo(name: "h", dtype: .bf16, shape: [count]), TensorInfo(name: "f", dtype: .f32, shape: [count])])
        try writer.append(floats: values, count: count, to: "h")
        var done = 0
        try values.withUnsafeBufferPointer { buffer in
            while done < count {
                let piece = min(70_001, count - done)
                try writer.append(floats: buffer.baseAddress! + done, count: piece, to: "f")
                done += piece
            }
        }
        try writer.finish()
        let file = try SafetensorsFile(path: path)
        for (name, rounds) in [("h", true), ("f", false)] {
            var read = [Float](repeating: 0, count: count)
            try read.withUnsafeMutableBufferPointer { try file.tensor(name).copyFloats(into: $0.baseAddress!) }
            let expected = rounds ? values.map { Float(bitPattern: UInt32(FloatConversion.bf16($0)) << 16) } : values
            #expect(read == expected)
        }
    }

    @Test func anAbandonedWriterLeavesNothing() throws {
        let directory = try TemporaryDirectory()
        do {
            let writer = try SafetensorsWriter(path: directory.path("x"), tensors: [TensorInfo(name: "a", dtype: .f32, shape: [2])])
            try writer.append(floats: [1], count: 1, to: "a")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).count == 1)
            #expect(caught(SafetensorsError.self) { try writer.finish() } != nil)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    @Test func refusesDisorder() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("x")
        let tensors = [TensorInfo(name: "a", dtype: .f32, shape: [2]), TensorInfo(name: "b", dtype: .u8, shape: [1])]
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        let values: [Float] = [1, 2, 3]
        #expect(throws: SafetensorsError.self) { try writer.append(floats: values, count: 1, to: "b") }
        #expect(throws: SafetensorsError.self) { try writer.append(floats: values, count: 3, to: "a") }
        try writer.append(floats: values, count: 2, to: "a")
        #expect(
            caught(SafetensorsError.self) { try writer.append(floats: values, count: 1, to: "b") }
                == .notFloatingPoint(path: path, tensor: "b", dtype: .u8))
        #expect(
            caught(SafetensorsError.self) { _ = try SafetensorsWriter(path: path, tensors: [tensors[0], tensors[0]]) }
                == .duplicateName(path: path, tensor: "a"))
        #expect(throws: FileError.self) { try SafetensorsWriter(path: directory.path("no/such/file"), tensors: tensors) }
    }

    /// Lengths that are known only at the end, also where they change the number of digits in the header.
    @Test func deferredTensorsGoLast() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("d.safetensors")
        func writer() throws -> SafetensorsWriter {
            try SafetensorsWriter(
                path: path, tensors: [TensorInfo(name: "a", dtype: .f32, shape: [2])],
                deferred: [TensorInfo(name: "s", dtype: .u8, shape: [1000]), TensorInfo(name: "t", dtype: .u8, shape: [10])])
        }
        let file = try writer()
        try file.setDeferred([1, 2, 3], "s")
        try file.append(floats: [1, 2], count: 2, to: "a")
        try file.setDeferred(Array(repeating: 9, count: 10), "t")
        try file.finish()
        let read = try SafetensorsFile(path: path)
        #expect(read.tensors.map(\.name) == ["a", "s", "t"] && read.header.dataStart % 4096 == 0)
        #expect(try read.tensor("s").withBytes { Array($0) } == [1, 2, 3])
        #expect(try read.tensor("t").shape == [10])
        #expect(read.metadata.map { "\($0.key)=\($0.value)" } == ["format=pt"])

        let second = try writer()
        #expect(throws: SafetensorsError.self) { try second.setDeferred(Array(repeating: 9, count: 11), "t") }
        #expect(throws: SafetensorsError.self) { try second.setDeferred([1], "a") }
        try second.append(floats: [1, 2], count: 2, to: "a")
        try second.setDeferred([1], "t")
        #expect(throws: SafetensorsError.self) { try second.finish() }
    }
}

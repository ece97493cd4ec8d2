import LoRAMEngine
import TestSupport
import Testing

@Suite struct SafetensorsReadTests {
    private func floats(_ view: TensorView, _ range: Range<Int>? = nil) throws -> [Float] {
        var values = [Float](repeating: .nan, count: range?.count ?? view.info.elementCount)
        try values.withUnsafeMutableBufferPointer { try view.copyFloats(range, into: $0.baseAddress!) }
        return values
    }

    private func numbers(_ value: JSONValue?) -> [Float] {
        (value?.arrayValue ?? []).compactMap(\.doubleValue).map { Float($0) }
    }

    @Test func readsEveryTypeThatPythonWrote() throws {
        let file = try SafetensorsFile(path: FormatsFixture.path("types.safetensors"))
        let expected = try FormatsFixture.json("types.json")
        #expect(file.metadata.map(\.key).sorted() == ["format", "note"])
        #expect(file.metadata.first { $0.key == "note" }?.value == "ü \"quoted\"\n")
        for (name, dtype) in [("f16", DType.f16), ("bf16", .bf16), ("f32", .f32), ("f64", .f64)] {
            let view = try file.tensor("float.\(name)")
            #expect(view.dtype == dtype && view.shape == [2, 5])
            #expect(try floats(view) == numbers(expected[name]))
        }
        for (name, dtype) in [
            ("uint8", DType.u8), ("int8", .i8), ("uint16", .u16), ("int16", .i16), ("uint32", .u32), ("int32", .i32), ("uint64", .u64),
            ("int64", .i64), ("bool", .bool), ("float8_e4m3fn", .f8e4m3), ("float8_e5m2", .f8e5m2),
        ] {
            let view = try file.tensor(name)
            #expect(view.dtype == dtype && view.shape == [3] && view.bytes.count == 3 * dtype.byteCount)
        }
        #expect(try file.tensor("scalar").shape == [])
        #expect(try floats(file.tensor("scalar")) == [7.5])
        #expect(try file.tensor("empty").shape == [0, 3])
        #expect(try floats(file.tensor("empty")).isEmpty)
    }

    @Test func readsFloatsAtOddOffsets() throws {
        let file = try SafetensorsFile(path: FormatsFixture.path("odd-offsets.safetensors"))
        let expected = try FormatsFixture.json("odd-offsets.json")
        for name in ["f16", "bf16", "f32", "f64"] {
            let view = try file.tensor(name)
            #expect(UInt(bitPattern: view.bytes.baseAddress) % UInt(view.dtype.byteCount) != 0)
            #expect(try floats(view) == numbers(expected[name]))
            #expect(try floats(view, 7..<38) == Array(numbers(expected[name])[7..<38]))
        }
    }

    @Test func aViewKeepsItsFileAlive() throws {
        let view = try SafetensorsFile(path: FormatsFixture.path("types.safetensors")).tensor("scalar")
        #expect(try floats(view) == [7.5])
    }

    @Test func namesWhatIsMissingOrNoFloat() throws {
        let path = try FormatsFixture.path("types.safetensors")
        let file = try SafetensorsFile(path: path)
        #expect(caught(SafetensorsError.self) { _ = try file.tensor("x") } == .missingTensor(path: path, tensor: "x"))
        #expect(
            caught(SafetensorsError.self) { _ = try floats(file.tensor("uint8")) }
                == .notFloatingPoint(path: path, tensor: "uint8", dtype: .u8))
    }

    @Test(.enabled(if: SharedData.path("models/stories260K") != nil, "needs shared/data"))
    func readsTheRealModel() throws {
        let path = try #require(SharedData.path("models/stories260K/model.safetensors"))
        let file = try SafetensorsFile(path: path)
        #expect(try file.tensor("model.embed_tokens.weight").shape == [512, 64])
        #expect(file.tensors.reduce(0) { $0 + $1.elementCount } == 260_032)
    }
}

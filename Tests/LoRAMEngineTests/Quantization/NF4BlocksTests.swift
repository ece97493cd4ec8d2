import LoRAMEngine
import TestSupport
import Testing

/// Single tensors against bitsandbytes, bit for bit.
@Suite struct NF4BlocksTests {
    static let cases =
        ["rows", "odd", "few", "constant", "special", "zero"].flatMap { name in ["f32", "bf16", "f16"].map { "\(name).\($0)" } } + ["scales.bf16"]

    private func quantize(_ key: String, _ quantizer: Quantizer) throws -> NF4Tensor {
        let file = try NF4Fixture.file("blocks.safetensors")
        let info = try file.tensor("\(key).values").info
        return try quantizer.quantize(file.floats("\(key).values"), name: key, shape: info.shape, dtype: info.dtype)
    }

    @Test(arguments: cases) func doubleQuantizationIsBitsandbytes(key: String) throws {
        let file = try NF4Fixture.file("blocks.safetensors")
        let tensor = try quantize(key, Quantizer(rounding: .bitsandbytesCPU))
        let blocks = (tensor.elementCount + 63) / 64
        #expect(tensor.bytes(tensor.codes, (tensor.elementCount + 1) / 2) == (try file.bytes("\(key).double.weight")))
        #expect(tensor.bytes(tensor.scales.absmax, blocks) == (try file.bytes("\(key).double.weight.absmax")))
        #expect(tensor.bytes(tensor.scales.nestedAbsmax, 4 * ((blocks + 255) / 256)) == (try file.bytes("\(key).double.weight.nested_absmax")))
        let state = try JSONValue.parse(try file.bytes("\(key).double.weight.quant_state.bitsandbytes__nf4"))
        #expect(state["nested_offset"]?.doubleValue == Double(tensor.scales.nestedOffset))
        #expect(bits(tensor.floats()) == bits(try file.floats("\(key).decoded")))
        try tensor.requireFiniteScales()
    }

    @Test(arguments: cases) func singleQuantizationIsBitsandbytes(key: String) throws {
        let file = try NF4Fixture.file("blocks.safetensors")
        let tensor = try quantize(key, Quantizer(double: false))
        let blocks = (tensor.elementCount + 63) / 64
        #expect(!tensor.isDoubleQuantized)
        #expect(tensor.bytes(tensor.codes, (tensor.elementCount + 1) / 2) == (try file.bytes("\(key).single.weight")))
        #expect(tensor.bytes(tensor.scales.absmax, 4 * blocks) == (try file.bytes("\(key).single.weight.absmax")))
        #expect(bits(tensor.floats()) == bits(try file.floats("\(key).decoded_single")))
    }

    /// The exact nearest entries are others than the table's for some of 282 scales.
    @Test(arguments: cases) func nearestIsNearest(key: String) throws {
        let file = try NF4Fixture.file("blocks.safetensors")
        let tensor = try quantize(key, Quantizer())
        let blocks = (tensor.elementCount + 63) / 64
        #expect(tensor.bytes(tensor.scales.absmax, blocks) == (try file.bytes("\(key).nearest.absmax")))
        #expect(tensor.bytes(tensor.codes, (tensor.elementCount + 1) / 2) == (try file.bytes("\(key).double.weight")))
    }

    /// Rows that begin in mid-block and mid-byte.
    @Test(arguments: cases) func rowsAreThoseOfTheWhole(key: String) throws {
        let tensor = try quantize(key, Quantizer())
        let all = tensor.floats(), width = tensor.shape[1]
        for first in 0..<tensor.shape[0] {
            for last in [first + 1, min(first + 3, tensor.shape[0])] where last <= tensor.shape[0] {
                #expect(bits(tensor.floats(rows: first..<last)) == bits(Array(all[first * width..<last * width])))
            }
        }
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity], [0, 63, 64, 130, 134]) func namesTheBrokenElement(value: Float, at: Int) throws {
        var values = [Float](repeating: 0.5, count: 135)
        values[at] = value
        #expect(
            caught(CheckpointError.self) { _ = try Quantizer().quantize(values, name: "w", shape: [27, 5], dtype: .f32, origin: "here") }
                == .nonFinite(path: "here", tensor: "w", element: at))
    }

    @Test func scalesTooLargeForAMean() throws {
        let values = [Float](repeating: 3e38, count: 256)
        #expect(
            caught(QuantizationError.self) { _ = try Quantizer().quantize(values, name: "w", shape: [4, 64], dtype: .f32) }
                == .scalesOverflow(path: "memory", tensor: "w"))
        #expect(try Quantizer(double: false).quantize(values, name: "w", shape: [4, 64], dtype: .f32).floats() == values)
    }
}

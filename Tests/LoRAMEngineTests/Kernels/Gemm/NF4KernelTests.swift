import CLoRAMKernels
import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// NF4 against bitsandbytes on CPU, bit for bit (Tests/fixtures-src/make_nf4.py).
@Suite struct NF4KernelTests {
    private let manifest: JSONValue
    private let data: [UInt8]

    init() throws {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/nf4")
        manifest = try JSONValue.parse(contentsOf: folder.appendingPathComponent("manifest.json").path)
        data = [UInt8](try Data(contentsOf: folder.appendingPathComponent("data.bin")))
    }

    private func bytes(_ place: JSONValue?) throws -> [UInt8] {
        let offset = try #require(place?["offset"]?.intValue), count = try #require(place?["bytes"]?.intValue)
        return Array(data[offset..<offset + count])
    }

    private func floats(_ place: JSONValue?) throws -> [Float] {
        try bytes(place).withUnsafeBytes { bytes in (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) } }
    }

    private func cases(_ name: String) throws -> [JSONValue] { try #require(manifest[name]?.arrayValue) }

    private static let elements = ["float32": LORAM_ELEMENT_F32, "bfloat16": LORAM_ELEMENT_BF16, "float16": LORAM_ELEMENT_F16]

    /// The bytes at an odd address.
    private func withUnaligned<T>(_ bytes: [UInt8], _ body: (UnsafeRawPointer) throws -> T) rethrows -> T { try ([0] + bytes).withUnsafeBytes { try body($0.baseAddress! + 1) } }

    private func unaligned(_ count: Int, _ body: (UnsafeMutableRawPointer) -> Void) -> [UInt8] {
        var target = [UInt8](repeating: 0xa5, count: count + 2)
        target.withUnsafeMutableBytes { body($0.baseAddress! + 1) }
        #expect(target.first == 0xa5 && target.last == 0xa5)
        return Array(target.dropFirst().dropLast())
    }

    @Test(arguments: KernelCase.availableNames) func codesScalesAndValuesAreBitsandbytes(name: String) throws {
        for test in try cases("quantization") {
            let title = try #require(test["name"]?.stringValue), dtype = try #require(test["dtype"]?.stringValue), element = try #require(Self.elements[dtype])
            let count = try #require(test["count"]?.intValue)
            let codes = try bytes(test["codes"]), absmax = try bytes(test["absmax"])
            try withUnaligned(bytes(test["input"])) { input in
                var gotScales: [UInt8] = []
                let got = unaligned(codes.count) { codes in
                    gotScales = unaligned(absmax.count) { #expect(loram_nf4_quantize(name, input, element, count, codes, $0) == 0) }
                }
                #expect(got == codes, "codes of \(title)")
                #expect(gotScales == absmax, "scales of \(title)")
            }
            for (type, element) in Self.elements {
                let size = element == LORAM_ELEMENT_F32 ? 4 : 2, expected = try bytes(test[type])
                withUnaligned(codes) { codes in
                    withUnaligned(absmax) { absmax in
                        var scales = loram_nf4_scales(absmax: absmax, nested_absmax: nil, nested_map: nil, nested_offset: 0, rounds_bf16: 0)
                        let got = unaligned(count * size) { #expect(loram_nf4_dequantize(name, codes, &scales, count, 0, count, $0, element) == 0) }
                        #expect(got == expected, "\(type) of \(title)")
                        // Parts of it, from and to the middle of bytes and blocks.
                        for (first, length) in [(1, count - 1), (count / 2, count - count / 2), (count / 3, min(1, count)), (count, 0), (count / 4 | 1, count / 2)] {
                            let part = unaligned(length * size) { #expect(loram_nf4_dequantize(name, codes, &scales, count, first, length, $0, element) == 0) }
                            #expect(part == Array(expected[first * size..<(first + length) * size]), "\(type) of \(title), \(length) from \(first)")
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: KernelCase.availableNames) func doubleQuantizedValuesAreBitsandbytes(name: String) throws {
        for test in try cases("nested") {
            let count = try #require(test["count"]?.intValue), offset = try floats(test["offset"])[0], plain = try floats(test["scales"])
            #expect(loram_nf4_mean(plain, plain.count, 1) == offset)
            let codes = try bytes(test["codes"]), absmax = try bytes(test["absmax"]), nested = try bytes(test["nested_absmax"]), expected = try bytes(test["bfloat16"])
            let got = withUnaligned(codes) { codes in
                withUnaligned(absmax) { absmax in
                    withUnaligned(nested) { nested in
                        var scales = loram_nf4_scales(absmax: absmax, nested_absmax: nested, nested_map: loram_nf4_dynamic_map(), nested_offset: offset, rounds_bf16: 0)
                        return unaligned(2 * count) { #expect(loram_nf4_dequantize(name, codes, &scales, count, 0, count, $0, LORAM_ELEMENT_BF16) == 0) }
                    }
                }
            }
            #expect(got == expected)
        }
    }

    /// Both rules of the dynamic map.
    @Test func scalesAreDoubleQuantized() throws {
        for test in try cases("scales") {
            let title = try #require(test["name"]?.stringValue), scales = try floats(test["scales"]), offset = try floats(test["offset"])[0]
            for (rule, rounding) in [("nearest", LORAM_NF4_NEAREST), ("binned", LORAM_NF4_BINNED)] {
                let expected = try bytes(test[rule]), nested = try bytes(test["nested_absmax"])
                var gotNested: [UInt8] = []
                let got = unaligned(expected.count) { codes in
                    gotNested = unaligned(nested.count) { loram_nf4_quantize_scales(scales, scales.count, offset, rounding, codes, $0) }
                }
                #expect(got == expected, "\(rule) of \(title)")
                #expect(gotNested == nested, "\(title)")
            }
        }
    }

    /// On both sides of every place where bitsandbytes' table of 65536 bins changes its code.
    @Test func binsAreBitsandbytes() throws {
        let test = try #require(manifest["bins"]), values = try floats(test["values"]), expected = try bytes(test["codes"])
        for (value, code) in zip(values, expected) {
            var codes: [UInt8] = [0, 0], nested: Float = 0
            loram_nf4_quantize_scales([1, value], 2, 0, LORAM_NF4_BINNED, &codes, &nested)
            #expect(codes[1] == code && nested == 1)
        }
    }

    /// torch's order of summation, also where it splits the values over its threads.
    @Test func meansAreTorchs() throws {
        var state: UInt64 = 1
        let values = (0..<140_000).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) / Float(1 << 24) + 0.5
        }
        for test in try cases("means") {
            let count = try #require(test["count"]?.intValue), threads = try #require(test["threads"]?.intValue)
            #expect(loram_nf4_mean(values, count, Int32(threads)) == (try floats(test["mean"])[0]), "\(count) values, \(threads) threads")
        }
    }

    @Test func dynamicMapIsBitsandbytes() throws {
        let expected = try floats(manifest["map"])
        #expect((0..<256).allSatisfy { loram_nf4_dynamic_map()[$0].bitPattern == expected[$0].bitPattern })
    }

    /// NaN takes code 15 and spoils its block's scale, as in bitsandbytes; other blocks are as without it.
    @Test(arguments: KernelCase.availableNames) func nanStaysInItsBlock(name: String) {
        var values = (0..<200).map { Float($0 % 17) - 8 }
        var clean = [UInt8](repeating: 0, count: 100), codes = clean, cleanScales = [Float](repeating: 0, count: 4), scales = cleanScales
        #expect(loram_nf4_quantize(name, values, LORAM_ELEMENT_F32, 200, &clean, &cleanScales) == 0)
        values[70] = .nan
        #expect(loram_nf4_quantize(name, values, LORAM_ELEMENT_F32, 200, &codes, &scales) == 0)
        #expect(scales[1].isNaN && codes[32..<64].allSatisfy { $0 == 0xff })
        #expect(codes[..<32] == clean[..<32] && codes[64...] == clean[64...] && scales[0] == cleanScales[0] && scales[2...] == cleanScales[2...])
    }

    @Test func badArgumentsAreRefused() {
        var codes: [UInt8] = [0], scale: Float = 0
        #expect(loram_nf4_quantize("unheard-of", [Float(1)], LORAM_ELEMENT_F32, 1, &codes, &scale) == -1)
        #expect(loram_nf4_quantize(nil, [Float(1)], LORAM_ELEMENT_NF4, 1, &codes, &scale) == -1)
        var scales = loram_nf4_scales(absmax: nil, nested_absmax: nil, nested_map: nil, nested_offset: 0, rounds_bf16: 0), value: Float = 0
        #expect(loram_nf4_dequantize(nil, codes, &scales, 1, 1, 1, &value, LORAM_ELEMENT_F32) == -1)
        #expect(loram_nf4_dequantize(nil, codes, &scales, 1, -1, 1, &value, LORAM_ELEMENT_F32) == -1)
    }
}

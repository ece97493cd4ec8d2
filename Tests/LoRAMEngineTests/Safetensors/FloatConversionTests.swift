import LoRAMEngine
import Testing

@Suite struct FloatConversionTests {
    @Test func widensEveryHalfExactly() {
        for bits in UInt16.min...UInt16.max {
            let expected = Float(Float16(bitPattern: bits))
            let found = FloatConversion.float(fromF16: bits)
            #expect(expected.isNaN ? found.isNaN : found.bitPattern == expected.bitPattern)
        }
    }

    @Test func narrowsAsTheHardwareDoes() {
        var random = SequentialRandom(CounterRandom(seed: 5, name: "halves"))
        for index in 0..<200_000 {
            // Every other value near the range of halves, where rounding and subnormals happen.
            var bits = UInt32(truncatingIfNeeded: random.next())
            if index % 2 == 0 { bits = bits & 0x8fff_ffff | 0x3000_0000 | (bits & 0x0800_0000) }
            let value = Float(bitPattern: bits)
            let expected = Float16(value)
            let found = FloatConversion.f16(value)
            if expected.isNaN {
                #expect(Float16(bitPattern: found).isNaN)
            } else {
                #expect(found == expected.bitPattern)
            }
        }
    }

    @Test func roundsAsPyTorchDoes() throws {
        let rows = try FormatsFixture.json("rounding.json")
        func column(_ name: String) -> [Int] { rows[name]?.arrayValue?.compactMap(\.intValue) ?? [] }
        let floats = column("f32").map { Float(bitPattern: UInt32($0)) }
        #expect(floats.count > 300)
        #expect(floats.map { Int(FloatConversion.bf16($0)) } == column("bf16"))
        #expect(floats.map { Int(FloatConversion.f16($0)) } == column("f16"))
    }

    @Test func keepsNaN() {
        for bits: UInt32 in [0x7f80_0001, 0x7fff_ffff, 0xffc0_0000, 0xff80_0001] {
            let value = Float(bitPattern: bits)
            #expect(Float(bitPattern: UInt32(FloatConversion.bf16(value)) << 16).isNaN)
            #expect(Float16(bitPattern: FloatConversion.f16(value)).isNaN)
        }
    }

    @Test func findsTheFirstNonFiniteValue() {
        var values = [Float](repeating: 1, count: 100)
        #expect(FloatConversion.firstNonFinite(values, count: 100) == nil)
        values[70] = .infinity
        values[33] = -.nan
        #expect(FloatConversion.firstNonFinite(values, count: 100) == 33)
        #expect(FloatConversion.firstNonFinite(values, count: 33) == nil)
    }
}

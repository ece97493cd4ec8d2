import CLoRAMKernels
import TestSupport
import Testing

/// Keeping f32 as bf16: every rounding, and no element beyond the range.
@Suite struct BF16KernelTests {
    /// Ties to even, carries into the exponent, overflow to infinity, denormals, NaN whose payload would be cut off.
    static let special: [UInt32] = [
        0, 0x8000_0000, 1, 0x0000_8000, 0x0000_8001, 0x0001_8000, 0x3f80_8000, 0x3f81_8000, 0x3f80_7fff, 0x3f80_8001, 0x3fff_8000, 0x7f7f_7fff, 0x7f7f_8000,
        0xff7f_ffff, 0x7f80_0000, 0xff80_0000, 0x7f80_0001, 0xffc0_0000, 0x7fbf_ffff,
    ]

    /// The nearest of two neighbours, by distance in f64.
    static func expected(_ bits: UInt32) -> UInt16 {
        let value = Float(bitPattern: bits), low = UInt16(bits >> 16)
        if value.isNaN { return low | 0x40 }
        if value.isInfinite { return low }
        // One step beyond the largest finite value stands for infinity.
        func magnitude(_ pattern: UInt16) -> Double { pattern & 0x7fff == 0x7f80 ? 0x1p128 : Double(Float(bitPattern: UInt32(pattern & 0x7fff) << 16)) }
        let below = Double(value.magnitude) - magnitude(low), above = magnitude(low + 1) - Double(value.magnitude)
        return below < above || (below == above && low % 2 == 0) ? low : low + 1
    }

    static func values(_ count: Int) -> [UInt32] {
        var random = LinearCongruentialGenerator(seed: UInt64(count))
        return (0..<count).map { $0 < special.count ? special[($0 * 7) % special.count] : UInt32(random.below(1 << 16)) << 16 | UInt32(random.below(1 << 16)) }
    }

    @Test(arguments: [0, 1, 15, 16, 17, 100, 4096]) func narrowsAndWidens(_ count: Int) {
        let bits = Self.values(count)
        var narrow = [UInt16](repeating: 0xeeee, count: count + 1), wide = [Float](repeating: -1, count: count + 1)
        loram_narrow_bf16(&narrow, bits.map(Float.init(bitPattern:)), count)
        #expect(Array(narrow.prefix(count)) == bits.map(Self.expected) && narrow[count] == 0xeeee)
        loram_widen_bf16(&wide, narrow, count)
        #expect(wide.prefix(count).map(\.bitPattern) == narrow.prefix(count).map { UInt32($0) << 16 } && wide[count] == -1)
    }

    @Test(arguments: [(1, 1, 1), (3, 15, 17), (4, 33, 33), (2, 128, 131)]) func roundsInPlace(_ rows: Int, _ columns: Int, _ stride: Int) {
        let bits = Self.values(rows * stride)
        var matrix = bits.map(Float.init(bitPattern:))
        loram_round_bf16(&matrix, rows, columns, stride)
        for (index, value) in matrix.enumerated() {
            #expect(value.bitPattern == (index % stride < columns ? UInt32(Self.expected(bits[index])) << 16 : bits[index]), "element \(index)")
        }
    }
}

/// Pseudo-random values that depend on their indices alone, so that every process can make any of them (splitmix64).
public enum RepeatableValues {
    public static func bits(_ first: Int, _ second: Int) -> UInt64 {
        var z = UInt64(bitPattern: Int64(first)) &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(bitPattern: Int64(second)) &* 0xd1b5_4a32_d192_ed03
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Of both signs and magnitudes from 2^-8 to 2^8, so that the order of additions shows in the last bits.
    public static func float(_ first: Int, _ second: Int) -> Float {
        let bits = bits(first, second)
        let mantissa = Float(Int64(bits >> 40) - (1 << 23)) / Float(1 << 23)
        return mantissa * Float(sign: .plus, exponent: Int(bits & 15) - 8, significand: 1)
    }

    public static func double(_ first: Int, _ second: Int) -> Double {
        Double(float(first, second)) + Double(float(second, first + 1)) * 0x1p-24
    }

    /// FNV-1a over the bits of floats: equal hashes stand for equal bits.
    public static func hash(_ values: UnsafePointer<Float>, count: Int) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in 0..<count {
            hash = (hash ^ UInt64(values[index].bitPattern)) &* 0x100_0000_01b3
        }
        return String(hash, radix: 16)
    }
}

/// A pseudo-random order of 0 ..< count as a pure function of (count, key): no memory, any place in constant time, the same on every
/// machine.
///
/// A Feistel network permutes the numbers of an even number of bits; values that fall outside are permuted again until
/// they fall inside (cycle walking), fewer than 4 times on average.
package struct IndexPermutation: Sendable {
    package let count: Int
    private let halfBits: UInt64
    private let roundKeys: [UInt64]

    package init(count: Int, key: UInt64) {
        self.count = count
        let bits = Int.bitWidth - max(count - 1, 1).leadingZeroBitCount
        halfBits = UInt64((bits + 1) / 2)
        roundKeys = (1...6).map { Self.mixed(key &+ UInt64($0) &* 0x9e37_79b9_7f4a_7c15) }
    }

    /// Where position `index` of the order points.
    package subscript(index: Int) -> Int {
        precondition(index >= 0 && index < count)
        let mask: UInt64 = (1 << halfBits) - 1
        var value = UInt64(index)
        repeat {
            var left = value >> halfBits
            var right = value & mask
            for key in roundKeys { (left, right) = (right, left ^ (Self.mixed(right ^ key) & mask)) }
            value = left << halfBits | right
        } while value >= UInt64(count)
        return Int(value)
    }

    /// A key of its own for each combination of parts.
    package static func key(seed: UInt64, _ parts: UInt64...) -> UInt64 {
        parts.reduce(mixed(seed &+ 0x5851_f42d_4c95_7f2d)) { mixed($0 ^ $1 &* 0xda94_2042_e4dd_58b5 &+ 0x14057b7ef767814f) }
    }

    /// The finalizer of SplitMix64: every input bit reaches every output bit.
    private static func mixed(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

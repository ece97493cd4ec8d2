/// Random numbers as a pure function of (seed, stream, index): Philox4x32-10.
///
/// Nothing is drawn "in order", so any part of a tensor, a dataset or a mask can be made on any rank, in any order and by any
/// number of threads, and comes out the same. The seed is the generator's key; the stream (one per purpose, tensor or layer) is
/// the upper half of its counter and the index the lower half.
///
/// Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; checked against Random123's known answers.
public struct CounterRandom: Sendable, Equatable {
    public let seed: UInt64
    public let stream: UInt64

    public init(seed: UInt64, stream: UInt64) {
        self.seed = seed
        self.stream = stream
    }

    /// The stream that belongs to a name, such as a tensor's: its 64-bit FNV-1a hash.
    public init(seed: UInt64, name: String) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
        self.init(seed: seed, stream: hash)
    }

    /// The four 32-bit words of block `index`.
    @inline(__always)
    public func block(_ index: UInt64) -> (UInt32, UInt32, UInt32, UInt32) {
        Self.philox4x32(
            counter: (
                UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
                UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)
            ),
            key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    }

    /// 64 random bits; two of them share a block.
    @inline(__always)
    public func bits(at index: UInt64) -> UInt64 {
        let words = block(index >> 1)
        return index & 1 == 0
            ? UInt64(words.1) << 32 | UInt64(words.0)
            : UInt64(words.3) << 32 | UInt64(words.2)
    }

    /// Uniform on [0, 1), a multiple of 2^-53.
    @inline(__always)
    public func uniform(at index: UInt64) -> Double {
        Double(bits(at: index) >> 11) * 0x1p-53
    }

    /// Ten rounds of Philox with four 32-bit words.
    @inline(__always)
    public static func philox4x32(
        counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt32, UInt32, UInt32, UInt32) {
        var counter = counter
        var key = key
        for _ in 0..<10 {
            let first = UInt64(0xd251_1f53) &* UInt64(counter.0)
            let second = UInt64(0xcd9e_8d57) &* UInt64(counter.2)
            counter = (
                UInt32(truncatingIfNeeded: second >> 32) ^ counter.1 ^ key.0,
                UInt32(truncatingIfNeeded: second),
                UInt32(truncatingIfNeeded: first >> 32) ^ counter.3 ^ key.1,
                UInt32(truncatingIfNeeded: first)
            )
            key = (key.0 &+ 0x9e37_79b9, key.1 &+ 0xbb67_ae85)
        }
        return counter
    }
}

/// Normal numbers that are a function of a key and a position: SplitMix64 (Steele, Lea, Flood 2014) read as a counter.
///
/// Beside `CounterRandom` for its speed, since a 70B model wants 7e10 of them, and because its bits depend on no library.
enum WeightRandom {
    private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z &>> 31)
    }

    /// A stream of its own for every (seed, name): FNV-1a over the name's bytes, mixed with the seed.
    static func key(seed: UInt64, name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return mix(mix(seed &+ step) ^ hash)
    }

    /// Normal values at positions `elements` of a stream.
    ///
    /// The four 16-bit quarters of a draw are added: their sum, scaled to variance 1, has the right bell but light tails (fourth
    /// moment 2.7). An odd polynomial of degree 5, fitted to the quantiles, stretches it: distance to the normal distribution
    /// 7e-4 (Kolmogorov-Smirnov), fourth moment 3.00, largest value 4.45. Only additions and multiplications, never fused: the
    /// same bits on every IEEE machine, which a library's logarithm would not promise.
    static func normals(
        key: UInt64, elements: Range<Int>, standardDeviation: Float, into destination: UnsafeMutablePointer<Float>
    ) {
        // Sum of four uniform integers 0...65535: mean 131070, variance 4 * (65536^2 - 1) / 12.
        let variance: Double = (65536 * 65536 - 1) / 3
        let scale = Float(1 / variance.squareRoot())
        let start = UInt64(truncatingIfNeeded: elements.lowerBound)
        let count = elements.count
        var i = 0
        while i < count {
            let draw = mix(key &+ (start &+ UInt64(truncatingIfNeeded: i) &+ 1) &* step)
            let pairs = (draw & 0x0000_ffff_0000_ffff) &+ ((draw &>> 16) & 0x0000_ffff_0000_ffff)
            let sum = Int32(truncatingIfNeeded: pairs &+ (pairs &>> 32)) & 0x7ffff
            let x = Float(sum &- 131_070) * scale
            let square = x * x
            let curve: Float = 0.967_588_07 + square * (0.004_190_405_3 + square * 0.001_874_609_2)
            destination[i] = x * curve * standardDeviation
            i &+= 1
        }
    }
}

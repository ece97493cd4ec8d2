/// A generator that the fixture scripts have too, so that both make the same inputs from a seed.
public struct LinearCongruentialGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    private mutating func step() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }

    /// 0 ..< bound, for bounds far below 2^31.
    public mutating func below(_ bound: Int) -> Int { Int(step() % UInt64(bound)) }

    public mutating func next() -> UInt64 { step() << 33 ^ step() << 2 ^ step() >> 20 }
}

import Foundation

extension CounterRandom {
    /// Standard normal number `index`, by Box and Muller's transform in f64; numbers 2i and 2i + 1 share a block.
    public func normal(at index: UInt64) -> Double {
        let (cosine, sine) = normalPair(index >> 1)
        return index & 1 == 0 ? cosine : sine
    }

    /// `out[i] = deviation * normal(at: first + i)`, rounded once to f32.
    public func fillNormal(_ out: UnsafeMutablePointer<Float>, count: Int, first: UInt64 = 0, deviation: Double) {
        var position = 0
        if first & 1 == 1, count > 0 {
            out[0] = Float(deviation * normal(at: first))
            position = 1
        }
        while position < count {
            let (cosine, sine) = normalPair((first &+ UInt64(position)) >> 1)
            out[position] = Float(deviation * cosine)
            if position + 1 < count { out[position + 1] = Float(deviation * sine) }
            position += 2
        }
    }

    /// `out[i] = low + (high - low) * uniform(at: first + i)`, rounded once to f32.
    public func fillUniform(_ out: UnsafeMutablePointer<Float>, count: Int, first: UInt64 = 0, low: Double, high: Double) {
        for position in 0..<count {
            out[position] = Float(low + (high - low) * uniform(at: first &+ UInt64(position)))
        }
    }

    private func normalPair(_ block: UInt64) -> (Double, Double) {
        let words = self.block(block)
        let first = Double((UInt64(words.1) << 32 | UInt64(words.0)) >> 11)
        let second = Double((UInt64(words.3) << 32 | UInt64(words.2)) >> 11)
        // first + 1 keeps the logarithm's argument in (0, 1].
        let radius = (-2 * log((first + 1) * 0x1p-53)).squareRoot()
        let angle = 2 * Double.pi * (second * 0x1p-53)
        return (radius * cos(angle), radius * sin(angle))
    }
}

/// A `CounterRandom` read in order, for the standard library's shuffles and ranges.
public struct SequentialRandom: RandomNumberGenerator, Sendable {
    public let source: CounterRandom
    /// Index of the next 64 bits.
    public private(set) var position: UInt64

    public init(_ source: CounterRandom, position: UInt64 = 0) {
        self.source = source
        self.position = position
    }

    public mutating func next() -> UInt64 {
        defer { position &+= 1 }
        return source.bits(at: position)
    }
}

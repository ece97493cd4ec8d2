import Foundation

/// Cosines and sines of every position's rotation angles, [positions, headDim / 2].
///
/// Frequencies and angles are rounded to f32 where transformers rounds them; Llama 3.1's frequency scaling follows its
/// published rule: wavelengths beyond original / low are stretched by `factor`, those below original / high are kept, and
/// between them the two are blended.
public final class RotaryTable: @unchecked Sendable {
    public let headDim: Int
    public let positionCount: Int
    let cosine: UnsafeMutablePointer<Float>
    let sine: UnsafeMutablePointer<Float>
    private let arena: Arena

    public init(_ rope: RoPEConfig, headDim: Int, positionCount: Int) throws {
        self.headDim = headDim
        self.positionCount = positionCount
        let half = headDim / 2
        var layout = ArenaLayout()
        let cosineSlice = layout.reserve(positionCount * half)
        let sineSlice = layout.reserve(positionCount * half)
        arena = try Arena(layout)
        cosine = arena.pointer(cosineSlice)
        sine = arena.pointer(sineSlice)
        for i in 0..<half {
            let frequency = Self.inverseFrequency(rope, index: i, headDim: headDim)
            for position in 0..<positionCount {
                let angle = Double(Float(position) * frequency)
                cosine[position * half + i] = Float(cos(angle))
                sine[position * half + i] = Float(sin(angle))
            }
        }
    }

    static func inverseFrequency(_ rope: RoPEConfig, index: Int, headDim: Int) -> Float {
        let base = Float(1 / pow(rope.theta, Double(Float(2 * index) / Float(headDim))))
        guard let scaling = rope.scaling else { return base }
        let wavelength = 2 * Double.pi / Double(base)
        let original = Double(scaling.originalMaxPositionCount)
        if wavelength > original / scaling.lowFrequencyFactor { return base / Float(scaling.factor) }
        if wavelength < original / scaling.highFrequencyFactor { return base }
        let smooth = (original / wavelength - scaling.lowFrequencyFactor) / (scaling.highFrequencyFactor - scaling.lowFrequencyFactor)
        return Float((1 - smooth) * Double(base) / scaling.factor + smooth * Double(base))
    }
}

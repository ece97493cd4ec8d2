import LoRAMEngine
import TestSupport
import Testing

/// Frames in memory; the benchmark compares what it unpacks with what it packed.
@Suite struct FrameTests {
    static func noise(_ count: Int) -> [UInt8] {
        var random = LinearCongruentialGenerator(seed: 9)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    @Test(arguments: DType.allCases, [Codec.planes, .zstd])
    func noiseComesBackAndHardlyGrows(dtype: DType, codec: Codec) throws {
        // Three frames, the last a short one.
        let bytes = Self.noise((1 << 20) + 40 * dtype.byteCount)
        let report = try PackBenchmark.run(bytes, dtype: dtype, codec: codec, threads: 2, rounds: 1)
        #expect(report.storedByteCount > bytes.count && report.ratio <= 1.001)
    }

    @Test(arguments: [2, 4, 254, 256, 1 << 17, 1 << 18, (1 << 19) - 2, 1 << 19, (1 << 19) + 2])
    func everySizeComesBack(count: Int) throws {
        for codec in [Codec.planes, .zstd] {
            for bytes in [Self.noise(count), [UInt8](repeating: 0, count: count), PackBenchmark.syntheticWeights(byteCount: count)] {
                let report = try PackBenchmark.run(bytes, dtype: .bf16, codec: codec, threads: 1, rounds: 1)
                #expect(report.byteCount == count)
            }
        }
    }

    @Test func weightsTakeTwoThirds() throws {
        let report = try PackBenchmark.run(PackBenchmark.syntheticWeights(byteCount: 8 << 20), dtype: .bf16, codec: .planes, threads: 2, rounds: 1)
        #expect(report.ratio <= 0.675 && report.ratio <= 1.01 * report.entropyBound)
        // The bound is one: nothing that codes byte by byte is below it by more than what frames adapt to.
        #expect(report.ratio >= 0.99 * report.entropyBound)
    }

    @Test func rotationAndPlanesSuitEveryFloatType() throws {
        let weights = PackBenchmark.syntheticWeights(byteCount: 4 << 20)
        // bf16 values as f32: two of four planes are zeros.
        var wide = [UInt8](repeating: 0, count: 2 * weights.count)
        for i in 0..<weights.count / 2 { (wide[4 * i + 2], wide[4 * i + 3]) = (weights[2 * i], weights[2 * i + 1]) }
        let report = try PackBenchmark.run(wide, dtype: .f32, codec: .planes, threads: 2, rounds: 1)
        #expect(report.ratio <= 0.345 && report.ratio <= 1.01 * report.entropyBound + 0.001)
    }
}

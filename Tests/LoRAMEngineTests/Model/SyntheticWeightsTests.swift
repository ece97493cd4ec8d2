import LoRAMEngine
import Testing

@Suite struct SyntheticWeightsTests {
    private static let config: LlamaConfig = {
        var config = ModelPreset.llama32_1B.config
        config.dtype = .f32
        return config
    }()

    private let name = "model.layers.2.mlp.up_proj.weight"
    private let shape = [8192, 2048]

    @Test func anyRowsAreTheSameNumbers() throws {
        let source = SyntheticWeights(config: Self.config, seed: 7)
        let all = try weightValues(source, name, shape, rows: 0..<40)
        #expect(try weightValues(source, name, shape, rows: 17..<23) == Array(all[17 * 2048..<23 * 2048]))
        #expect(try weightValues(source, name, shape, rows: 39..<40) == Array(all[39 * 2048..<40 * 2048]))
    }

    /// Fixed numbers, computed apart in NumPy: a change here would change every synthetic model.
    @Test func valuesAreFixed() throws {
        let source = SyntheticWeights(config: Self.config, seed: 7)
        #expect(try weightValues(source, name, shape, rows: 5..<6)[..<4].map(\.bitPattern) == [0xbb97_a436, 0xbd3d_ee54, 0x3c21_29d0, 0x3d37_fbf0])
    }

    @Test func seedsAndTensorsDiffer() throws {
        let source = SyntheticWeights(config: Self.config, seed: 7)
        let row = try weightValues(source, name, shape, rows: 0..<1)
        #expect(try weightValues(SyntheticWeights(config: Self.config, seed: 8), name, shape, rows: 0..<1) != row)
        #expect(try weightValues(source, "model.layers.3.mlp.up_proj.weight", shape, rows: 0..<1) != row)
    }

    @Test func matricesAreNormalAndNormsAreOne() throws {
        let source = SyntheticWeights(config: Self.config, seed: 1)
        let scaled = try weightValues(source, name, shape, rows: 0..<100).map { Double($0) / SyntheticWeights.standardDeviation }
        let count = Double(scaled.count)
        let moments = scaled.reduce(into: SIMD4<Double>.zero) { sums, x in sums += SIMD4(x, x * x, x * x * x, x * x * x * x) } / count
        #expect(abs(moments[0]) < 5 / count.squareRoot())
        #expect(abs(moments[1] - 1) < 0.02)
        #expect(abs(moments[2]) < 0.03)
        #expect(abs(moments[3] - 3) < 0.1)
        // Shares within one, two and three standard deviations.
        for (bound, share) in [(1.0, 0.6827), (2, 0.9545), (3, 0.9973)] {
            #expect(abs(Double(scaled.count { abs($0) < bound }) / count - share) < 0.004)
        }
        // Neighbours in a row and in a column are uncorrelated.
        for stride in [1, 2048] {
            let products = zip(scaled, scaled.dropFirst(stride)).reduce(0) { $0 + $1.0 * $1.1 }
            #expect(abs(products / count) < 5 / count.squareRoot())
        }
        #expect(try weightValues(source, WeightName.inputNorm(layer: 0), [2048]) == [Float](repeating: 1, count: 2048))
    }

    @Test func valuesAreThoseOfTheStoredType() throws {
        for dtype in [DType.bf16, .f16] {
            var config = Self.config
            config.dtype = dtype
            let row = try weightValues(SyntheticWeights(config: config, seed: 7), name, shape, rows: 3..<4)
            let exact = try weightValues(SyntheticWeights(config: Self.config, seed: 7), name, shape, rows: 3..<4)
            #expect(row != exact)
            for (stored, value) in zip(row, exact) {
                let expected = dtype == .f16 ? Float(Float16(value)) : Float(bitPattern: UInt32(FloatConversion.bf16(value)) << 16)
                #expect(stored == expected)
            }
        }
    }

    @Test func knowsItsTensors() throws {
        let source = SyntheticWeights(config: Self.config, seed: 7)
        #expect(source.contains(WeightName.embedding) && !source.contains(WeightName.lmHead))
        #expect(throws: CheckpointError.self) { try weightValues(source, "x", [1]) }
        #expect(throws: CheckpointError.self) { try weightValues(source, name, [2048, 8192]) }
    }
}

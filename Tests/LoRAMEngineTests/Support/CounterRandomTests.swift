import LoRAMEngine
import Testing

@Suite struct CounterRandomTests {
    /// Random123's kat_vectors, philox4x32 with 10 rounds.
    @Test func knownAnswers() {
        #expect(
            CounterRandom.philox4x32(counter: (0, 0, 0, 0), key: (0, 0)) == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        let ones = UInt32.max
        #expect(
            CounterRandom.philox4x32(counter: (ones, ones, ones, ones), key: (ones, ones))
                == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
        #expect(
            CounterRandom.philox4x32(
                counter: (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: (0xa409_3822, 0x299f_31d0))
                == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test func seedStreamAndIndexEachMatter() {
        let base = CounterRandom(seed: 1, stream: 2)
        #expect(base.bits(at: 3) == CounterRandom(seed: 1, stream: 2).bits(at: 3))
        #expect(base.bits(at: 3) != base.bits(at: 2))
        #expect(base.bits(at: 3) != CounterRandom(seed: 2, stream: 2).bits(at: 3))
        #expect(base.bits(at: 3) != CounterRandom(seed: 1, stream: 3).bits(at: 3))
        #expect(base.bits(at: 3) != CounterRandom(seed: 1 << 40 | 1, stream: 2).bits(at: 3))
        #expect(CounterRandom(seed: 1, name: "a").stream != CounterRandom(seed: 1, name: "b").stream)
    }

    /// FNV-1a's published test values.
    @Test func namesHashByFNV1a() {
        #expect(CounterRandom(seed: 0, name: "").stream == 0xcbf2_9ce4_8422_2325)
        #expect(CounterRandom(seed: 0, name: "a").stream == 0xaf63_dc4c_8601_ec8c)
        #expect(CounterRandom(seed: 0, name: "foobar").stream == 0x8594_4171_f739_67e8)
    }

    @Test func uniformMoments() {
        let random = CounterRandom(seed: 42, stream: 0)
        let count = 20000
        var sum = 0.0
        var squares = 0.0
        for index in 0..<count {
            let value = random.uniform(at: UInt64(index))
            #expect(value >= 0 && value < 1)
            sum += value
            squares += value * value
        }
        let mean = sum / Double(count)
        #expect(abs(mean - 0.5) < 0.01)
        #expect(abs(squares / Double(count) - mean * mean - 1.0 / 12) < 0.003)
    }

    @Test func normalMoments() {
        let random = CounterRandom(seed: 7, name: "w")
        let count = 20000
        let values = (0..<count).map { random.normal(at: UInt64($0)) }
        let mean = values.reduce(0, +) / Double(count)
        let variance = values.reduce(0) { $0 + $1 * $1 } / Double(count)
        let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / Double(count)
        #expect(abs(mean) < 0.03)
        #expect(abs(variance - 1) < 0.04)
        #expect(abs(fourth - 3) < 0.3)
        #expect(values.allSatisfy { $0.isFinite })
    }

    @Test(arguments: [(0, 7), (1, 7), (3, 8), (2, 1), (5, 0)])
    func fillsAreTheSameFromAnywhere(first: Int, count: Int) {
        let random = CounterRandom(seed: 9, name: "tensor")
        var normal = [Float](repeating: .nan, count: count)
        var uniform = normal
        normal.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { random.fillNormal(base, count: count, first: UInt64(first), deviation: 0.5) }
        }
        uniform.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { random.fillUniform(base, count: count, first: UInt64(first), low: -2, high: 4) }
        }
        for index in 0..<count {
            #expect(normal[index] == Float(0.5 * random.normal(at: UInt64(first + index))))
            #expect(uniform[index] == Float(-2 + 6 * random.uniform(at: UInt64(first + index))))
        }
    }

    @Test func sequentialReadsInOrder() {
        let source = CounterRandom(seed: 5, stream: 6)
        var random = SequentialRandom(source, position: 10)
        #expect(random.next() == source.bits(at: 10))
        #expect(random.next() == source.bits(at: 11))
        #expect(random.position == 12)
    }
}

import Foundation
import LoRAMEngine
import Testing

@Suite struct TokenSamplerTests {
    static let logits: [Float] = [1, 3, 2.5, -4, 3, 0, 2, -30]

    /// Shares of `count` draws.
    private func shares(_ sampling: Sampling, _ logits: [Float] = Self.logits, count: Int = 40_000) -> [Double] {
        let sampler = TokenSampler(sampling, vocabularySize: logits.count, rows: 1), random = sampling.random(prompt: 0, sample: 0)
        var counts = [Double](repeating: 0, count: logits.count)
        for number in 0..<count { counts[Int(sampler.token(row: 0, logits: logits, uniform: random.uniform(at: UInt64(number)))!)] += 1 }
        return counts.map { $0 / Double(count) }
    }

    private func expected(_ logits: [Float], temperature: Double, kept: Set<Int>) -> [Double] {
        let weights = logits.enumerated().map { kept.contains($0.offset) ? exp(Double($0.element) / temperature) : 0 }
        return weights.map { $0 / weights.reduce(0, +) }
    }

    static let cases: [(Sampling, Set<Int>)] = [
        (Sampling(temperature: 1), Set(0..<8)),
        (Sampling(temperature: 0.5, seed: 9), Set(0..<8)),
        (Sampling(temperature: 2), Set(0..<8)),
        // Two largest are equal; the second largest's equals stay, as in transformers.
        (Sampling(temperature: 1, topK: 1), [1, 4]),
        (Sampling(temperature: 1, topK: 3), [1, 4, 2]),
        (Sampling(temperature: 1, topK: 100), Set(0..<8)),
        // 0.31 + 0.31 + 0.19 + 0.115: the third reaches 0.8, the fourth 0.9.
        (Sampling(temperature: 1, topP: 0.8), [1, 4, 2]),
        (Sampling(temperature: 1, topP: 0.9), [1, 4, 2, 6]),
        (Sampling(temperature: 1, topP: 0.01), [1]),
        // Of the three that top-k leaves.
        (Sampling(temperature: 1, topK: 3, topP: 0.7), [1, 4]),
    ]

    @Test(arguments: cases) func followsTheDistribution(_ sampling: Sampling, _ kept: Set<Int>) {
        let found = shares(sampling), expected = expected(Self.logits, temperature: sampling.temperature, kept: kept)
        for (share, probability) in zip(found, expected) {
            // Five standard deviations of 40,000 draws.
            #expect(abs(share - probability) <= 5 * (probability * (1 - probability) / 40_000).squareRoot() + 1e-9, "\(found) \(expected)")
        }
    }

    /// Beside a plain sort, over many candidates.
    @Test func theFewestLikelyOnes() {
        let random = CounterRandom(seed: 4, name: "logits"), count = 5000
        let logits = (0..<count).map { Float(3 * random.normal(at: UInt64($0))) }
        let order = logits.indices.sorted { logits[$0] > logits[$1] }
        for (topK, topP) in [(nil, 0.5), (nil, 0.95), (40, 1.0), (700, 0.9)] as [(Int?, Double)] {
            let weights = order.prefix(topK ?? count).map { exp(Double(logits[$0])) }, total = weights.reduce(0, +)
            var sum = 0.0
            let kept = weights.prefix { weight in
                defer { sum += weight }
                return sum < topP * total
            }.count
            let sampler = TokenSampler(Sampling(temperature: 1, topK: topK, topP: topP), vocabularySize: count, rows: 1)
            let drawn = Set((0..<3000).map { sampler.token(row: 0, logits: logits, uniform: Double($0) / 3000)! })
            #expect(drawn.isSubset(of: Set(order.prefix(kept).map { Int32($0) })))
            // The last number belongs to the last candidate, the first to the first: by probability, or by number where nothing was sorted.
            let last = sampler.token(row: 0, logits: logits, uniform: 1 - 0x1p-53)!
            #expect(topP < 1 ? last == Int32(order[kept - 1]) : last == Int32(order.prefix(kept).max()!))
        }
    }

    @Test func greedyTakesTheFirstOfTheLargest() {
        let sampler = TokenSampler(Sampling(topK: 2, topP: 0.5), vocabularySize: 8, rows: 1)
        #expect((0..<10).allSatisfy { sampler.token(row: 0, logits: Self.logits, uniform: Double($0) / 10) == 1 })
        for bad in [Float.nan, .infinity] {
            for place in [0, 5] {
                var logits = Self.logits
                logits[place] = bad
                #expect(sampler.token(row: 0, logits: logits, uniform: 0) == nil)
            }
        }
        #expect(sampler.token(row: 0, logits: Array(repeating: -Float.infinity, count: 8), uniform: 0) == nil)
    }

    @Test func aSeedSaysAll() {
        let first = Sampling(temperature: 1, seed: 1), second = Sampling(temperature: 1, seed: 2)
        func draws(_ sampling: Sampling, prompt: Int, sample: Int) -> [UInt64] { (0..<8).map { sampling.random(prompt: prompt, sample: sample).bits(at: $0) } }
        #expect(draws(first, prompt: 0, sample: 0) == draws(first, prompt: 0, sample: 0))
        let all = [(first, 0, 0), (second, 0, 0), (first, 1, 0), (first, 0, 1), (first, 1, 1), (first, 11, 1), (first, 1, 11)].map { draws($0, prompt: $1, sample: $2) }
        #expect(Set(all).count == all.count)
    }
}

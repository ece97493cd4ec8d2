import TestSupport
import Testing

import LoRAMEngine

/// What comes when.
@Suite struct TrainingOrderTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A dataset of `count` samples whose first tokens are `first`, `first` + 1, ...
    private func dataset(_ name: String, _ count: Int, first: Int = 0) throws -> String {
        try directory.write((first..<first + count).map { "{\"input_ids\": [\($0), 1]}" }.joined(separator: "\n"), name)
    }

    private func data(_ sources: [DataConfiguration.Source], seed: UInt64 = 1, shuffle: Bool = true) throws -> TrainingData {
        try TrainingData(
            configuration: DataConfiguration(sources: sources, length: 4, shuffle: shuffle), tokenizer: nil, vocabularySize: 10_000,
            bosTokenID: nil, eosTokenID: nil, seed: seed)
    }

    @Test func everyEpochHasEverySampleOnceInAnOrderOfItsOwn() throws {
        let path = try dataset("a.jsonl", 100)
        let tokens = try data([.init(path: path)]).firstTokens(300)
        let epochs = [0, 100, 200].map { Array(tokens[$0..<$0 + 100]) }
        for epoch in epochs { #expect(epoch.sorted() == (0..<100).map(Int32.init)) }
        #expect(Set(epochs).count == 3)
        #expect(epochs[0] != epochs[0].sorted())
        #expect(try data([.init(path: path)], seed: 2).firstTokens(100) != epochs[0])
        #expect(try data([.init(path: path)], seed: 1).firstTokens(300) == tokens)
    }

    /// The same sample stands at a position, however updates and micro-batches are cut.
    @Test func positionAloneDecides() throws {
        let a = try dataset("a.jsonl", 23)
        let b = try dataset("b.jsonl", 11, first: 1000)
        let data = try data([.init(path: a, weight: 2), .init(path: b)])
        let expected = try data.firstTokens(240)
        for (global, micro) in [(8, 2), (12, 5), (240, 7), (1, 1)] {
            var found: [Int32] = []
            var batch = MicroBatch(tokenIDs: [], labels: [], segments: [], samples: [])
            for update in 1...(240 / global) {
                for index in 0..<(global + micro - 1) / micro {
                    try data.fill(&batch, update: update, microBatchIndex: index, microBatchSize: micro, globalBatchSize: global)
                    #expect(batch.samples.map(\.sampleID) == batch.samples.indices.map { UInt64(found.count + $0) })
                    found += batch.samples.map { batch.tokenIDs[$0.start] }
                }
            }
            #expect(found == expected)
        }
    }

    @Test func mixesByWeightUntilAllAreExhausted() throws {
        let sources = try [
            DataConfiguration.Source(path: dataset("a.jsonl", 40), weight: 0.5),
            DataConfiguration.Source(path: dataset("b.jsonl", 30, first: 1000), weight: 0.25),
            DataConfiguration.Source(path: dataset("c.jsonl", 10, first: 2000), weight: 0.25),
        ]
        let data = try data(sources)
        // Source b needs 30 draws at a quarter of them; one more position may be needed for its last one.
        #expect((117...120).contains(data.samplesPerEpoch))
        let tokens = try data.firstTokens(data.samplesPerEpoch)
        let drawn = [0, 1000, 2000].map { first in tokens.filter { $0 / 1000 == first / 1000 } }
        #expect(drawn[1].count == 30)
        #expect(Set(drawn[1]).count == 30)
        #expect(Set(drawn[0]).count == 40)
        #expect((58...60).contains(drawn[0].count))
        // Source c starts over: three passes, each complete.
        #expect((29...30).contains(drawn[2].count))
        for pass in 0..<2 { #expect(Set(drawn[2][10 * pass..<10 * pass + 10]).count == 10) }
        // The shares hold in every stretch.
        for start in stride(from: 0, to: 96, by: 8) {
            #expect((3...5).contains(tokens[start..<start + 8].count { $0 < 1000 }))
        }
    }

    @Test func equalSourcesAlternateWithoutShuffling() throws {
        let sources = try [
            DataConfiguration.Source(path: dataset("a.jsonl", 3)), DataConfiguration.Source(path: dataset("b.jsonl", 2, first: 1000)),
        ]
        let tokens = try data(sources, shuffle: false).firstTokens(10)
        #expect(tokens == [0, 1000, 1, 1001, 2, 0, 1000, 1, 1001, 2])
    }

    @Test func permutesEveryCount() {
        for count in Array(1...70) + [255, 256, 257, 1000, 4097] {
            let permutation = IndexPermutation(count: count, key: UInt64(count))
            #expect(Set((0..<count).map { permutation[$0] }) == Set(0..<count))
        }
        // Values that no machine and no version may change: a resumed run depends on them.
        let permutation = IndexPermutation(count: 10, key: IndexPermutation.key(seed: 42, 0, 0, 0))
        #expect((0..<10).map { permutation[$0] } == Self.orderOfTen)
    }

    static let orderOfTen = [0, 5, 4, 2, 9, 8, 1, 6, 3, 7]

    /// Each sample is as likely at each place, to the accuracy that 20,000 orders allow.
    @Test func ordersAreEven() {
        let count = 8
        var hits = [[Int]](repeating: [Int](repeating: 0, count: count), count: count)
        for key in 0..<20_000 {
            let permutation = IndexPermutation(count: count, key: IndexPermutation.key(seed: 5, UInt64(key)))
            for place in 0..<count { hits[place][permutation[place]] += 1 }
        }
        // 2,500 expected; five standard deviations are 234.
        for row in hits { #expect(row.allSatisfy { (2266...2734).contains($0) }) }
    }

    /// Against drawing one sample after another.
    @Test(arguments: [([3, 5, 2], [1.0, 2.0, 0.5]), ([1], [7.0]), ([10, 1000], [1.0, 1.0]), ([50, 50, 50, 50], [0.1, 0.2, 0.3, 0.4])])
    func mixerKeepsItsShares(counts: [Int], weights: [Double]) {
        let mixer = SourceMixer(sampleCounts: counts, weights: weights)
        var drawn = [Int](repeating: 0, count: counts.count)
        let total = weights.reduce(0, +)
        for position in 0..<mixer.epochCount {
            #expect(drawn.indices.contains { drawn[$0] < counts[$0] }, "an epoch ends when all are exhausted")
            let draw = mixer.draw(position)
            #expect(draw.index == drawn[draw.source])
            drawn[draw.source] += 1
            for source in drawn.indices {
                let share = Double(position + 1) * weights[source] / total
                #expect(abs(Double(drawn[source]) - share) <= Double(counts.count))
            }
        }
        #expect(drawn.indices.allSatisfy { drawn[$0] >= counts[$0] })
    }

    @Test func packerFindsTheFirstBinWithRoom() {
        var generator = LinearCongruentialGenerator(seed: 9)
        var packer = FirstFitPacker(capacity: 100)
        var bins: [(room: Int, items: [Int])] = []
        for item in 0..<5000 {
            let size = 1 + generator.below(generator.below(2) == 0 ? 100 : 20)
            packer.add(item, size: size)
            if let bin = bins.firstIndex(where: { $0.room >= size }) {
                bins[bin].room -= size
                bins[bin].items.append(item)
            } else {
                bins.append((100 - size, [item]))
            }
        }
        let (members, starts) = packer.bins()
        #expect(bins.count > 1024)
        #expect((0..<bins.count).map { Array(members[starts[$0]..<starts[$0 + 1]]) } == bins.map(\.items))
    }
}

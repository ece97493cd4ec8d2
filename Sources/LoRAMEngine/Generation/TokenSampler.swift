import Foundation

/// Chooses tokens from logits [rows, V], in memory of its own.
///
/// What a row gets depends on its logits and its random number alone. The order of settings is transformers': temperature, top-k, top-p.
package final class TokenSampler {
    private let sampling: Sampling
    private let vocabularySize: Int
    /// Of each row: candidates and their weights, [V]; nothing where the largest is taken.
    private let candidates: UnsafeMutablePointer<Int32>
    private let weights: UnsafeMutablePointer<Float>
    private let rows: Int

    package init(_ sampling: Sampling, vocabularySize: Int, rows: Int) {
        self.sampling = sampling
        self.vocabularySize = vocabularySize
        self.rows = sampling.temperature > 0 ? rows : 0
        candidates = .allocate(capacity: max(self.rows * vocabularySize, 1))
        weights = .allocate(capacity: max(self.rows * vocabularySize, 1))
    }

    deinit {
        candidates.deallocate()
        weights.deallocate()
    }

    /// The tokens for `count` rows of logits [count, V]; `choice` says which token of its text a row's is, and what decides.
    ///
    /// - Throws: `GenerationError.notFinite`.
    package func tokens(
        _ pool: ThreadPool, logits: UnsafePointer<Float>, count: Int, choice: (_ row: Int) -> (number: Int, uniform: Double)
    ) throws -> [Int32] {
        let choices = (0..<count).map(choice)
        let tokens = [Int32](unsafeUninitializedCapacity: count) { tokens, initialized in
            let base = tokens.baseAddress!
            pool.run(count) { row, _ in
                base[row] = token(row: row, logits: logits + row * vocabularySize, uniform: choices[row].uniform) ?? -1
            }
            initialized = count
        }
        if let row = tokens.firstIndex(of: -1) { throw GenerationError.notFinite(token: choices[row].number + 1) }
        return tokens
    }

    /// The token for one row of logits [V]; nil if they have no largest. `uniform` in [0, 1) decides. Rows may be asked for concurrently.
    package func token(row: Int, logits: UnsafePointer<Float>, uniform: Double) -> Int32? {
        var best = 0, top = logits[0], isNumber = !logits[0].isNaN
        for id in 1..<vocabularySize {
            let value = logits[id]
            isNumber = isNumber && !value.isNaN
            if value > top { (best, top) = (id, value) }
        }
        guard isNumber, top.isFinite else { return nil }
        guard sampling.temperature > 0 else { return Int32(best) }
        return draw(candidates + row * vocabularySize, weights + row * vocabularySize, logits, top, uniform)
    }

    private func draw(
        _ ids: UnsafeMutablePointer<Int32>, _ weights: UnsafeMutablePointer<Float>, _ logits: UnsafePointer<Float>, _ top: Float, _ uniform: Double
    ) -> Int32 {
        let least = sampling.topK.map { $0 < vocabularySize ? kthLargest($0, logits, scratch: weights) : -Float.infinity } ?? -Float.infinity
        let scale = Float(1 / sampling.temperature)
        var count = 0, total = 0.0
        for id in 0..<vocabularySize where logits[id] >= least {
            let weight = exp((logits[id] - top) * scale)
            guard weight > 0 else { continue }
            (ids[count], weights[count]) = (Int32(id), weight)
            count += 1
            total += Double(weight)
        }
        if sampling.topP < 1 { (count, total) = keepLikely(ids, weights, count: count, total: total) }
        let target = uniform * total
        var sum = 0.0
        for index in 0..<count {
            sum += Double(weights[index])
            if sum > target { return ids[index] }
        }
        return ids[count - 1]
    }

    /// The most likely candidates that together have `topP` of the whole, first; returns their number and sum.
    private func keepLikely(_ ids: UnsafeMutablePointer<Int32>, _ weights: UnsafeMutablePointer<Float>, count: Int, total: Double) -> (Int, Double) {
        // All that are less likely than this, together, are too unlikely to be needed: only the rest must be sorted.
        let bound = Float((1 - sampling.topP) * total / Double(count)), enough = sampling.topP * total
        var kept: [(weight: Float, id: Int32)] = []
        for index in 0..<count where weights[index] >= bound { kept.append((weights[index], ids[index])) }
        kept.sort { $0.weight != $1.weight ? $0.weight > $1.weight : $0.id < $1.id }
        var sum = 0.0, number = 0
        while number < kept.count, number == 0 || sum < enough {
            (ids[number], weights[number]) = (kept[number].id, kept[number].weight)
            sum += Double(kept[number].weight)
            number += 1
        }
        return (number, sum)
    }

    /// The k-th largest logit, 0 < k < V, by a heap of the k largest so far whose root is the least of them.
    private func kthLargest(_ k: Int, _ logits: UnsafePointer<Float>, scratch heap: UnsafeMutablePointer<Float>) -> Float {
        func sink(_ start: Int) {
            var place = start
            while true {
                var least = place
                for child in [2 * place + 1, 2 * place + 2] where child < k && heap[child] < heap[least] { least = child }
                guard least != place else { return }
                (heap[place], heap[least]) = (heap[least], heap[place])
                place = least
            }
        }
        heap.update(from: logits, count: k)
        for place in stride(from: k / 2 - 1, through: 0, by: -1) { sink(place) }
        for id in k..<vocabularySize where logits[id] > heap[0] {
            heap[0] = logits[id]
            sink(0)
        }
        return heap[0]
    }
}

/// Interleaves the samples of several sources in proportion to their weights.
///
/// An epoch lasts until every source has been drawn from as often as it has samples; those that run out earlier start over. In
/// every stretch of the epoch, each source has its share to within one sample per source before it. Integer arithmetic only, so
/// that every machine agrees.
package struct SourceMixer: Sendable {
    package struct Draw: Equatable {
        package var source: Int
        /// How often this source was drawn from before, in this epoch.
        package var index: Int
    }

    package let sampleCounts: [Int]
    /// Samples drawn in an epoch.
    package let epochCount: Int
    /// Weights as integers, and the sum of each and all behind it.
    private let shares: [UInt64]
    private let remainders: [UInt64]

    /// - Parameters:
    ///   - sampleCounts: at least 1 each, fewer than 2^31.
    ///   - weights: finite and above 0. Ratios beyond 2^30 count as 2^30.
    package init(sampleCounts: [Int], weights: [Double]) {
        precondition(!sampleCounts.isEmpty && sampleCounts.count == weights.count)
        let largest = weights.max() ?? 1
        let shares = weights.map { max(1, UInt64(($0 / largest * 0x1p30).rounded())) }
        var remainders = shares
        for source in remainders.indices.dropLast().reversed() { remainders[source] += remainders[source + 1] }
        self.sampleCounts = sampleCounts
        self.shares = shares
        self.remainders = remainders
        epochCount = Self.epochCount(sampleCounts, shares, remainders)
    }

    /// What is drawn at a position of the epoch.
    package func draw(_ position: Int) -> Draw {
        precondition(position >= 0 && position < epochCount)
        var position = position
        for source in shares.indices.dropLast() {
            let before = Self.drawn(position, shares[source], remainders[source])
            if Self.drawn(position + 1, shares[source], remainders[source]) > before { return Draw(source: source, index: before) }
            position -= before
        }
        return Draw(source: shares.count - 1, index: position)
    }

    /// Draws from the first of the remaining sources among the first `count` of theirs: the share, rounded up.
    private static func drawn(_ count: Int, _ share: UInt64, _ remainder: UInt64) -> Int {
        let product = UInt64(count).multipliedFullWidth(by: share)
        let (quotient, rest) = remainder.dividingFullWidth((product.high, product.low))
        return Int(quotient) + (rest > 0 ? 1 : 0)
    }

    private static func epochCount(_ sampleCounts: [Int], _ shares: [UInt64], _ remainders: [UInt64]) -> Int {
        func suffices(_ count: Int) -> Bool {
            var count = count
            for source in shares.indices.dropLast() {
                let drawn = drawn(count, shares[source], remainders[source])
                if drawn < sampleCounts[source] { return false }
                count -= drawn
            }
            return count >= sampleCounts[sampleCounts.count - 1]
        }
        var low = 0
        var high = sampleCounts.reduce(1, max)
        while !suffices(high) {
            low = high
            high *= 2
        }
        // The least count that suffices lies in low + 1 ... high.
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if suffices(middle) { high = middle } else { low = middle }
        }
        return high
    }
}

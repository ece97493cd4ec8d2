/// Zeroes the weights of the least score, without an update of the others: magnitude |w|, or Wanda |w| times the norm of the input
/// (Sun et al., arXiv 2306.11695).
package enum ScoredPruning {
    private static let rowBlock = 16

    /// - Parameters:
    ///   - w_OI: pruned in place.
    ///   - norms_I: of the inputs, which weights compete with in their own row; nil for magnitude, where without a pattern the whole matrix competes.
    ///   - mask: all zero; gets the kept weights.
    package static func prune(
        _ w_OI: UnsafeMutablePointer<Float>, rows O: Int, columns I: Int, norms_I: UnsafePointer<Float>?, sparsity: Sparsity, mask: MaskBits,
        pool: ThreadPool
    ) {
        var threshold: Float = -1
        if case .ratio(let ratio) = sparsity, ratio > 0, norms_I == nil { threshold = magnitudeThreshold(w_OI, count: O * I, ratio) }
        pool.runBlocks(O, of: rowBlock) { rows, _ in
            let scores = UnsafeMutablePointer<Float>.allocate(capacity: I)
            defer { scores.deallocate() }
            for row in rows {
                let w = w_OI + row * I
                for column in 0..<I { scores[column] = abs(w[column]) * (norms_I?[column] ?? 1) }
                switch sparsity {
                case .pattern(let zeros, let of):
                    for start in stride(from: 0, to: I, by: of) {
                        let width = min(of, I - start)
                        let marked = OrderStatistic.markSmallest(Sparsity.zeros(zeros, of: of, width: width), of: scores + start, width: width)
                        for index in 0..<width { settle(w, row, start + index, isPruned: marked >> UInt64(index) & 1 == 1, mask) }
                    }
                case .ratio(let ratio):
                    guard norms_I != nil else {
                        for column in 0..<I { settle(w, row, column, isPruned: scores[column] <= threshold, mask) }
                        continue
                    }
                    let order = (0..<I).sorted { scores[$0] != scores[$1] ? scores[$0] < scores[$1] : $0 < $1 }
                    for (place, column) in order.enumerated() { settle(w, row, column, isPruned: place < Int(Double(I) * ratio), mask) }
                }
            }
        }
    }

    @inline(__always)
    private static func settle(_ w: UnsafeMutablePointer<Float>, _ row: Int, _ column: Int, isPruned: Bool, _ mask: MaskBits) {
        if isPruned { w[column] = 0 } else { mask.keep(row, column) }
    }

    private static func magnitudeThreshold(_ w: UnsafePointer<Float>, count: Int, _ ratio: Double) -> Float {
        let magnitudes = UnsafeMutablePointer<Float>.allocate(capacity: count)
        defer { magnitudes.deallocate() }
        for index in 0..<count { magnitudes[index] = abs(w[index]) }
        return OrderStatistic.smallest(magnitudes, count: count, rank: Int(Double(count) * ratio))
    }
}

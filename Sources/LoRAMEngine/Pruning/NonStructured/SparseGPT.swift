/// SparseGPT: weights are removed column by column, and those to the right make up for it (Frantar & Alistarh, arXiv 2301.00774).
///
/// A row knows nothing of the others but the threshold of a block, so rows are shared out to the pool; bits depend on shapes alone.
/// Legend: O outputs, I inputs, C columns of a block.
package enum SparseGPT {
    private static let rowBlock = 64

    /// Zeroes part of `w_OI` and updates the rest in place.
    ///
    /// - Parameters:
    ///   - u_II: as `InverseFactor` makes it.
    ///   - dead: inputs that are always zero: their weights become zero first.
    ///   - mask: all zero; gets the kept weights.
    package static func prune(
        _ w_OI: UnsafeMutablePointer<Float>, rows O: Int, columns I: Int, u_II: UnsafePointer<Float>, dead: [Int], sparsity: Sparsity,
        mask: MaskBits, pool: ThreadPool
    ) {
        for column in dead { for row in 0..<O { w_OI[row * I + column] = 0 } }
        let block = sparsity.blockColumnCount
        // Scores of the block's weights, then, one by one, the errors in their places.
        let buffer_OC = UnsafeMutablePointer<Float>.allocate(capacity: O * block)
        defer { buffer_OC.deallocate() }
        for start in stride(from: 0, to: I, by: block) {
            let count = min(block, I - start)
            let threshold = threshold(w_OI, O, I, u_II, start, count, sparsity, buffer_OC, pool)
            pool.runBlocks(O, of: rowBlock) { rows, _ in
                for row in rows {
                    let w = w_OI + row * I + start, errors = buffer_OC + row * count
                    switch sparsity {
                    case .ratio:
                        pruneRow(w, u_II, I, start, count, errors, row, mask) { column in errors[column] <= threshold }
                    case .pattern(let zeros, let of):
                        var marked: UInt64 = 0
                        pruneRow(w, u_II, I, start, count, errors, row, mask) { column in
                            if column % of == 0 {
                                marked = choose(w + column, u_II, I, start + column, min(of, count - column), zeros, of)
                            }
                            return marked >> UInt64(column % of) & 1 == 1
                        }
                    }
                }
                let end = start + count
                guard end < I else { return }
                MatrixProduct.tile(
                    rows.count, I - end, count, buffer_OC + rows.lowerBound * count, count, u_II + start * I + end, I,
                    w_OI + rows.lowerBound * I + end, I, alpha: -1, accumulate: true)
            }
        }
    }

    /// The columns of one row's block, left to right. `isPruned` is asked once a column, when the columns before are done.
    @inline(__always)
    private static func pruneRow(
        _ w: UnsafeMutablePointer<Float>, _ u_II: UnsafePointer<Float>, _ I: Int, _ start: Int, _ count: Int,
        _ errors: UnsafeMutablePointer<Float>, _ row: Int, _ mask: MaskBits, _ isPruned: (Int) -> Bool
    ) {
        for column in 0..<count {
            guard isPruned(column) else {
                mask.keep(row, start + column)
                errors[column] = 0
                continue
            }
            let u = u_II + (start + column) * I + start
            let error = w[column] / u[column]
            errors[column] = error
            w[column] = 0
            var next = column &+ 1
            while next < count {
                w[next] -= error * u[next]
                next &+= 1
            }
        }
    }

    /// The group's weights of the least w^2 / U_jj^2, as they are by now.
    @inline(__always)
    private static func choose(
        _ w: UnsafePointer<Float>, _ u_II: UnsafePointer<Float>, _ I: Int, _ start: Int, _ width: Int, _ zeros: Int, _ of: Int
    ) -> UInt64 {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 64) { scores in
            for index in 0..<width {
                let ratio = w[index] / u_II[(start + index) * I + start + index]
                scores[index] = ratio * ratio
            }
            return OrderStatistic.markSmallest(Sparsity.zeros(zeros, of: of, width: width), of: UnsafePointer(scores.baseAddress!), width: width)
        }
    }

    /// Scores of the block's weights into `scores_OC`, and the largest that is still pruned. A pattern needs neither.
    private static func threshold(
        _ w_OI: UnsafePointer<Float>, _ O: Int, _ I: Int, _ u_II: UnsafePointer<Float>, _ start: Int, _ count: Int, _ sparsity: Sparsity,
        _ scores_OC: UnsafeMutablePointer<Float>, _ pool: ThreadPool
    ) -> Float {
        guard case .ratio(let ratio) = sparsity, ratio > 0 else { return -1 }
        pool.runBlocks(O, of: rowBlock) { rows, _ in
            for row in rows {
                for column in 0..<count {
                    let quotient = w_OI[row * I + start + column] / u_II[(start + column) * I + start + column]
                    scores_OC[row * count + column] = quotient * quotient
                }
            }
        }
        return OrderStatistic.smallest(scores_OC, count: O * count, rank: Int(Double(O * count) * ratio))
    }
}

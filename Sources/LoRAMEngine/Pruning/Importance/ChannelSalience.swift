/// How much the loss would suffer from the loss of a row or a column of a weight, by its gradient (Ma et al., LLM-Pruner, arXiv 2305.11627).
///
/// W [O, I]; G is the gradient of the mean loss; A the mean over samples of the squared gradients of each sample's mean loss. Sums in f64.
enum ChannelSalience {
    /// A matrix with its gradients.
    struct Gradients {
        let w_OI: UnsafePointer<Float>
        /// Of the summed loss.
        let g_OI: UnsafePointer<Float>
        /// G = gScale * g.
        let gScale: Double
        /// Sum over samples; nil where the kind does not need it.
        let squares_OI: UnsafePointer<Float>?
        /// A = squareScale * squares.
        let squareScale: Double
        let rows: Int
        let columns: Int
    }

    /// One number a row.
    static func rows(_ kind: PruningRecipe.Importance, _ matrix: Gradients, _ pool: ThreadPool) -> [Double] {
        var result = [Double](repeating: 0, count: matrix.rows)
        result.withUnsafeMutableBufferPointer { result in
            let result = result.baseAddress!
            pool.runBlocks(matrix.rows, of: 16) { rows, _ in
                for row in rows {
                    var sum = 0.0
                    for index in row * matrix.columns..<(row + 1) * matrix.columns { sum += term(kind, matrix, index) }
                    result[row] = kind == .vectorize ? abs(sum) : sum
                }
            }
        }
        return result
    }

    /// One number a column.
    static func columns(_ kind: PruningRecipe.Importance, _ matrix: Gradients, _ pool: ThreadPool) -> [Double] {
        var result = [Double](repeating: 0, count: matrix.columns)
        result.withUnsafeMutableBufferPointer { result in
            let result = result.baseAddress!
            pool.runBlocks(matrix.columns, of: 128) { columns, _ in
                for row in 0..<matrix.rows {
                    for column in columns { result[column] += term(kind, matrix, row &* matrix.columns &+ column) }
                }
                if kind == .vectorize { for column in columns { result[column] = abs(result[column]) } }
            }
        }
        return result
    }

    @inline(__always)
    private static func term(_ kind: PruningRecipe.Importance, _ m: Gradients, _ index: Int) -> Double {
        let w = Double(m.w_OI[index])
        switch kind {
        case .vectorize: return w * Double(m.g_OI[index]) * m.gScale
        case .paramFirst: return abs(w * Double(m.g_OI[index]) * m.gScale)
        case .paramSecond: return abs(w * w * Double(m.squares_OI![index]) * m.squareScale)
        case .paramMix:
            let first = w * Double(m.g_OI[index]) * m.gScale
            return abs(first - 0.5 * w * w * Double(m.squares_OI![index]) * m.squareScale)
        }
    }
}

internal import COpenBLAS

/// What SparseGPT needs of the second moments of a linear layer's inputs.
///
/// Source: Frantar & Alistarh, arXiv 2301.00774, section 3.
package enum InverseFactor {
    /// Of the mean diagonal, added to the diagonal.
    static let damping: Float = 0.01

    /// Turns `h_II` (sum of x x^T, symmetric) into U, upper triangular with U^T U = (H + damping)^-1. What lies below the diagonal is of no use.
    ///
    /// An input that was never anything but zero gets 1 on the diagonal: its weights are of no consequence.
    /// - Parameter scale: of `h_II`; of no influence but on the range of the numbers.
    /// - Returns: inputs that were always zero; nil if the matrix is not positive definite, as when inputs were not finite.
    package static func factor(_ h_II: UnsafeMutablePointer<Float>, size I: Int, scale: Float) -> [Int]? {
        var dead: [Int] = []
        var mean = 0.0
        for row in 0..<I {
            for column in row..<I { h_II[row * I + column] *= scale }
            if h_II[row * I + row] == 0 {
                h_II[row * I + row] = 1
                dead.append(row)
            }
            mean += Double(h_II[row * I + row])
        }
        let added = damping * Float(mean / Double(I))
        for row in 0..<I { h_II[row * I + row] += added }
        // LAPACK reads columns where rows are meant: its lower triangle is the upper one here, and its L is U^T.
        var size = blasint(I), info: blasint = 0
        for step in [spotrf_, spotri_, spotrf_] {
            step("L", &size, h_II, &size, &info)
            guard info == 0 else { return nil }
        }
        return dead
    }
}

/// Which share of a matrix's weights becomes zero, and whether it may choose freely.
public enum Sparsity: Sendable, Equatable {
    /// Anywhere, at least 0 and less than 1.
    case ratio(Double)
    /// `zeros` in each `of` neighbours of a row, 0 < zeros < of <= 64. A row's last, narrower group of w loses zeros * w / of, rounded down.
    case pattern(zeros: Int, of: Int)

    /// Fraction of zeros, of rows that the pattern divides.
    public var fraction: Double {
        switch self {
        case .ratio(let ratio): ratio
        case .pattern(let zeros, let of): Double(zeros) / Double(of)
        }
    }

    /// Columns that SparseGPT takes at a time: 128, or the most below that which hold whole groups.
    var blockColumnCount: Int {
        switch self {
        case .ratio: 128
        case .pattern(_, let of): 128 / of * of
        }
    }

    /// Zeros of a group of `width` columns.
    static func zeros(_ zeros: Int, of: Int, width: Int) -> Int { zeros * width / of }
}

/// Which weights of a matrix are kept, a bit each: column c of a row is bit c % 8 (lowest first) of the row's byte c / 8; set means kept.
/// Every row starts a byte, and the bits behind the last column are zero.
///
/// This is NumPy's `packbits(kept, axis=1, bitorder="little")`. Unchecked: rows are written by one task each.
public final class MaskBits: @unchecked Sendable {
    public let rowCount: Int
    public let columnCount: Int
    /// [rows, strideBytes]
    public let bytes: UnsafeMutablePointer<UInt8>

    /// All zero: nothing is kept.
    public init(rows: Int, columns: Int) {
        rowCount = rows
        columnCount = columns
        let count = rows * Self.stride(columns)
        bytes = .allocate(capacity: max(count, 1))
        bytes.initialize(repeating: 0, count: max(count, 1))
    }

    deinit { bytes.deallocate() }

    /// Bytes of a row.
    public static func stride(_ columns: Int) -> Int { (columns + 7) / 8 }
    public var strideBytes: Int { Self.stride(columnCount) }
    public var byteCount: Int { rowCount * strideBytes }

    @inline(__always)
    func keep(_ row: Int, _ column: Int) { bytes[row &* strideBytes &+ column >> 3] |= 1 << UInt8(truncatingIfNeeded: column & 7) }

    public func isKept(_ row: Int, _ column: Int) -> Bool { bytes[row * strideBytes + column >> 3] >> UInt8(column & 7) & 1 == 1 }

    public var keptCount: Int { (0..<byteCount).reduce(0) { $0 + bytes[$1].nonzeroBitCount } }
}

extension Formatting {
    /// Lines of a table whose first row is its heading: columns two spaces apart, text flush left, and numbers, in the columns `flushRight`,
    /// flush right.
    ///
    /// - Precondition: all rows have as many cells.
    public static func table(_ rows: [[String]], flushRight: Set<Int>) -> [String] {
        guard let first = rows.first else { return [] }
        let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { column in
                let isRight = flushRight.contains(column)
                // Text in the last column needs no padding.
                return column == row.count - 1 && !isRight ? row[column] : padded(row[column], to: widths[column], right: isRight)
            }.joined(separator: "  ")
        }
    }

    static func padded(_ text: String, to width: Int, right: Bool = false) -> String {
        let space = String(repeating: " ", count: max(0, width - text.count))
        return right ? space + text : text + space
    }
}

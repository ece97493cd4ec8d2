/// A table of aligned columns: numbers to the right, words to the left.
public struct TextTable: Sendable {
    private var rows: [[String]]

    public init(_ header: [String]) { rows = [header] }

    /// - Precondition: as many cells as the header has.
    public mutating func add(_ row: [String]) {
        precondition(row.count == rows[0].count, "a row of another width")
        rows.append(row)
    }

    public var text: String {
        let columns = rows[0].indices
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let isNumeric = columns.map { column in
            rows.dropFirst().allSatisfy { $0[column].isEmpty || $0[column].first.map { $0.isNumber || $0 == "-" } == true }
        }
        return rows.map { row in
            let line = columns.map { column in
                let cell = row[column], space = String(repeating: " ", count: widths[column] - cell.count)
                return isNumeric[column] ? space + cell : cell + space
            }.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

/// A dataset whose tokens a cache holds.
struct CachedItems: ItemSource {
    let path: String
    private let parts: [TokenCachePart]
    /// First item of each part, and the number of all.
    private let firstItems: [Int]
    private let tokenStarts: [Int]?

    /// - Parameter asDocuments: the items are documents that may be read from the middle: where each starts is then held in memory.
    init(path: String, parts: [String], asDocuments: Bool) throws {
        self.path = path
        self.parts = try parts.map { try TokenCachePart(path: $0) }
        firstItems = self.parts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.itemCount) }
        var starts = [0]
        if asDocuments {
            for part in self.parts {
                let base = starts[starts.count - 1]
                for item in 0..<part.itemCount { starts.append(base + part.start(item + 1)) }
            }
        }
        tokenStarts = asDocuments ? starts : nil
    }

    var itemCount: Int { firstItems[firstItems.count - 1] }
    var documentStarts: [Int]? { tokenStarts }

    private func place(_ item: Int) -> (part: TokenCachePart, item: Int) {
        var low = 0, high = parts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if firstItems[middle] <= item { low = middle } else { high = middle }
        }
        // Parts without items share their first with the next one.
        return (parts[low], item - firstItems[low])
    }

    func load(_ item: Int, range: Range<Int>, into sequence: inout TokenSequence) throws {
        sequence.removeAll()
        let (part, index) = place(item)
        part.append(index, range, to: &sequence)
    }

    func summary(of item: Int, limit: Int) throws -> ItemSummary {
        var summary = try measure(item)
        summary.exceedsLimit = (summary.count ?? 0) > limit
        return summary
    }

    func measure(_ item: Int) throws -> ItemSummary {
        let (part, index) = place(item)
        return ItemSummary(count: part.start(index + 1) - part.start(index), exceedsLimit: false, firstTarget: part.firstTarget(index))
    }
}

/// How the items of one dataset are cut and joined to samples: an index of lengths and positions, no tokens.
struct SamplePlan: Sendable {
    /// A stretch of an item's tokens; a segment of its own.
    struct Piece: Sendable, Equatable {
        var item: Int
        var range: Range<Int>
    }

    private enum Layout: Sendable {
        /// Sample k is one item, all but the dropped ones, cut at the window. Dropped ones ascend.
        case items(dropped: [Int])
        /// Sample k is one stretch of `length` tokens, or of what its item has left.
        case windows([Window])
        /// Sample k is tokens k * length ..< (k + 1) * length of all items, one behind the other. Start of each item, and the end.
        case stream(tokenStarts: [Int])
        /// Sample k is whole items `members[starts[k] ..< starts[k + 1]]`, each cut at the window.
        case bins(members: [Int], starts: [Int])
    }

    /// Where in an item a window starts.
    struct Window: Sendable, Equatable {
        var item: Int
        var start: Int
    }

    let statistics: DatasetStatistics
    private let layout: Layout
    /// Tokens of an item that a window takes.
    private let length: Int

    var sampleCount: Int { statistics.samples }

    /// The pieces of a sample, in order.
    func forEachPiece(of sample: Int, _ body: (Piece) throws -> Void) rethrows {
        switch layout {
        case .items(let dropped): try body(Piece(item: Self.kept(sample, dropped), range: 0..<length))
        case .windows(let windows):
            let window = windows[sample]
            try body(Piece(item: window.item, range: window.start..<window.start + length))
        case .stream(let tokenStarts):
            var position = sample * length
            let end = min(position + length, tokenStarts[tokenStarts.count - 1])
            var item = Self.item(at: position, tokenStarts)
            while position < end {
                let pieceEnd = min(end, tokenStarts[item + 1])
                // Items without tokens have no piece.
                if pieceEnd > position {
                    try body(Piece(item: item, range: position - tokenStarts[item]..<pieceEnd - tokenStarts[item]))
                }
                position = pieceEnd
                item += 1
            }
        case .bins(let members, let starts):
            for item in members[starts[sample]..<starts[sample + 1]] { try body(Piece(item: item, range: 0..<length)) }
        }
    }

    /// The k-th of the items that were not dropped.
    static func kept(_ k: Int, _ dropped: [Int]) -> Int {
        // dropped[j] - j items are kept before dropped[j].
        var low = 0
        var high = dropped.count
        while low < high {
            let middle = (low + high) / 2
            if dropped[middle] - middle <= k { low = middle + 1 } else { high = middle }
        }
        return k + low
    }

    /// The last item that starts at or before `position`.
    private static func item(at position: Int, _ tokenStarts: [Int]) -> Int {
        var low = 0
        var high = tokenStarts.count - 1
        while high - low > 1 {
            let middle = (low + high) / 2
            if tokenStarts[middle] <= position { low = middle } else { high = middle }
        }
        return low
    }
}

// MARK: - Building

extension SamplePlan {
    /// One sample an item; longer ones are cut, those without a target dropped.
    static func items(_ source: any ItemSource, length: Int) throws -> SamplePlan {
        var dropped: [Int] = []
        var truncated = 0
        var tokens: Int? = 0
        for item in 0..<source.itemCount {
            let summary = try source.summary(of: item, limit: length)
            guard summary.hasTarget(limit: length) else {
                dropped.append(item)
                continue
            }
            if summary.exceedsLimit { truncated += 1 }
            tokens = (summary.exceedsLimit ? length : summary.count).flatMap { count in tokens.map { $0 + count } }
        }
        let statistics = DatasetStatistics(
            records: source.itemCount, samples: source.itemCount - dropped.count, truncated: truncated, dropped: dropped.count,
            tokens: tokens)
        return SamplePlan(statistics: statistics, layout: .items(dropped: dropped), length: length)
    }

    /// Consecutive windows of each document, none across two.
    ///
    /// - Parameter isScored: whether a window of an item has anything to predict; others are dropped.
    static func windows(
        _ source: any ItemSource, length: Int, isScored: (ItemSummary, Range<Int>) -> Bool
    ) throws -> SamplePlan {
        var windows: [Window] = []
        var statistics = DatasetStatistics(records: source.itemCount)
        var tokens = 0
        for item in 0..<source.itemCount {
            let summary = try source.measure(item)
            let count = summary.count ?? 0
            if count == 0 { statistics.dropped += 1 }
            for start in stride(from: 0, to: count, by: length) {
                let range = start..<min(start + length, count)
                if isScored(summary, range) {
                    windows.append(Window(item: item, start: start))
                    tokens += range.count
                } else {
                    statistics.dropped += 1
                }
            }
        }
        statistics.samples = windows.count
        statistics.tokens = tokens
        return SamplePlan(statistics: statistics, layout: .windows(windows), length: length)
    }

    /// All documents one behind the other, cut into windows.
    ///
    /// - Parameter tokenStarts: where each document starts in the whole, and the end of the last.
    static func stream(tokenStarts: [Int], length: Int) -> SamplePlan {
        let total = tokenStarts[tokenStarts.count - 1]
        var statistics = DatasetStatistics(records: tokenStarts.count - 1, samples: total / length, tokens: total)
        statistics.dropped = zip(tokenStarts, tokenStarts.dropFirst()).count { $0 == $1 }
        switch total % length {
        case 0: break
        // A single token predicts nothing.
        case 1:
            statistics.dropped += 1
            statistics.tokens = total - 1
        default: statistics.samples += 1
        }
        return SamplePlan(statistics: statistics, layout: .stream(tokenStarts: tokenStarts), length: length)
    }

    /// Whole items, as many as fit a window: each goes, in dataset order, into the first sample that has room for it.
    static func bins(_ source: any ItemSource, length: Int) throws -> SamplePlan {
        var statistics = DatasetStatistics(records: source.itemCount)
        var packer = FirstFitPacker(capacity: length)
        var tokens = 0
        for item in 0..<source.itemCount {
            let summary = try source.measure(item)
            guard summary.hasTarget(limit: length) else {
                statistics.dropped += 1
                continue
            }
            let count = summary.count ?? 0
            if count > length { statistics.truncated += 1 }
            tokens += min(count, length)
            packer.add(item, size: min(count, length))
        }
        let (members, starts) = packer.bins()
        statistics.samples = starts.count - 1
        statistics.tokens = tokens
        return SamplePlan(statistics: statistics, layout: .bins(members: members, starts: starts), length: length)
    }
}

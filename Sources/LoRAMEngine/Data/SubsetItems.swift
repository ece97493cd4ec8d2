/// Which records of a dataset are kept from training to validate with: drawn by the seed, the same on every rank and in every run.
public struct ValidationSplit: Sendable, Equatable {
    /// Of the records; above 0, below 1.
    public var share: Double
    public var seed: UInt64

    public init(share: Double, seed: UInt64) {
        self.share = share
        self.seed = seed
    }

    /// Records held out of `count`, ascending; at least one stays on either side of two or more.
    ///
    /// - Throws: `DatasetError.invalidSetting` where there are too few to split.
    func heldOut(of count: Int, path: String) throws(DatasetError) -> [Int] {
        guard count >= 2 else {
            throw .invalidSetting(name: "data.validation", expected: "at least two records to split in \(path)", found: "\(count)")
        }
        let size = min(max(Int((Double(count) * share).rounded()), 1), count - 1)
        let order = IndexPermutation(count: count, key: IndexPermutation.key(seed: seed, UInt64.max, 0, 0))
        return (0..<size).map { order[$0] }.sorted()
    }
}

/// One side of a split dataset.
struct SubsetItems: ItemSource {
    enum Side: Sendable { case training, validation }

    private let base: any ItemSource
    /// Ascending.
    private let heldOut: [Int]
    private let side: Side
    let documentStarts: [Int]?

    /// - Throws: `DatasetError`
    init(_ base: any ItemSource, _ split: ValidationSplit, _ side: Side) throws {
        let heldOut = try split.heldOut(of: base.itemCount, path: base.path)
        self.base = base
        self.heldOut = heldOut
        self.side = side
        documentStarts = base.documentStarts.map { starts in
            let isHeldOut = Set(heldOut)
            let kept = (0..<starts.count - 1).filter { isHeldOut.contains($0) == (side == .validation) }
            return kept.reduce(into: [0]) { $0.append($0[$0.count - 1] + starts[$1 + 1] - starts[$1]) }
        }
    }

    var itemCount: Int { side == .validation ? heldOut.count : base.itemCount - heldOut.count }
    var path: String { base.path }

    private func original(_ item: Int) -> Int {
        side == .validation ? heldOut[item] : SamplePlan.kept(item, heldOut)
    }

    func load(_ item: Int, range: Range<Int>, into sequence: inout TokenSequence) throws {
        try base.load(original(item), range: range, into: &sequence)
    }

    func summary(of item: Int, limit: Int) throws -> ItemSummary { try base.summary(of: original(item), limit: limit) }
    func measure(_ item: Int) throws -> ItemSummary { try base.measure(original(item)) }
}

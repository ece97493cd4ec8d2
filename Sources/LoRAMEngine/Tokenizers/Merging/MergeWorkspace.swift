/// Memory for one encoding at a time: the normalized text, the symbols of the word being merged, the queue of possible merges
/// and the cache of words. Kept between calls, so that encoding allocates nothing once it has warmed up.
///
/// A tokenizer hands a workspace to one call at a time, under its lock, hence `@unchecked Sendable`.
final class MergeWorkspace: @unchecked Sendable {
    /// A run of the word: at first one character, later what merging made of it. A linked list in text order.
    struct Symbol {
        /// Offset in the word.
        var start: Int32
        /// Bytes; 0 once the symbol was merged into its left neighbour.
        var count: Int32
        var previous: Int32
        var next: Int32
        /// The piece it was merged to; -1 for what is still one character.
        var piece: Int32
        /// A user-defined symbol: never merged.
        var isFrozen: Bool
    }

    /// Two neighbours that together are a piece.
    struct Merge {
        var score: Float
        var left: Int32
        var right: Int32
        /// Bytes of both together when the merge was found: tells whether it is still about the same symbols.
        var count: Int32
        var piece: Int32

        /// Order of merging: highest score, then leftmost.
        @inline(__always)
        func precedes(_ other: Merge) -> Bool {
            score > other.score || (score == other.score && left < other.left)
        }
    }

    private(set) var normalized: UnsafeMutablePointer<UInt8>
    private var normalizedCapacity = 4096
    private(set) var symbols: UnsafeMutablePointer<Symbol>
    private var symbolCapacity = 256
    private(set) var merges: UnsafeMutablePointer<Merge>
    private(set) var mergeCount = 0
    private var mergeCapacity = 768
    /// How pieces of kind `unused` came about in this word: bytes of the left part, by piece.
    var unusedPieceSplits: [Int32: Int32] = [:]
    let cache = WordCache()

    init() {
        normalized = .allocate(capacity: normalizedCapacity)
        symbols = .allocate(capacity: symbolCapacity)
        merges = .allocate(capacity: mergeCapacity)
    }

    deinit {
        normalized.deallocate()
        symbols.deallocate()
        merges.deallocate()
    }

    /// Makes room for `count` bytes of normalized text. Earlier contents are lost.
    func reserveNormalized(_ count: Int) {
        guard count > normalizedCapacity else { return }
        normalized.deallocate()
        normalizedCapacity = max(count, 2 * normalizedCapacity)
        normalized = .allocate(capacity: normalizedCapacity)
    }

    /// Makes room for a word of `count` symbols: each pair may enter the queue once at first, and each of at most count - 1 merges
    /// adds two. Earlier contents are lost.
    func reserveSymbols(_ count: Int) {
        mergeCount = 0
        guard count > symbolCapacity else { return }
        symbols.deallocate()
        merges.deallocate()
        symbolCapacity = max(count, 2 * symbolCapacity)
        mergeCapacity = 3 * symbolCapacity
        symbols = .allocate(capacity: symbolCapacity)
        merges = .allocate(capacity: mergeCapacity)
    }

    /// Adds to the binary heap.
    @inline(__always)
    func push(_ merge: Merge) {
        var place = mergeCount
        mergeCount += 1
        while place > 0 {
            let parent = (place - 1) >> 1
            guard merge.precedes(merges[parent]) else { break }
            merges[place] = merges[parent]
            place = parent
        }
        merges[place] = merge
    }

    /// Removes the merge that comes first; the heap must not be empty.
    @inline(__always)
    func pop() -> Merge {
        let top = merges[0]
        mergeCount -= 1
        guard mergeCount > 0 else { return top }
        let last = merges[mergeCount]
        var place = 0
        while true {
            var child = 2 * place + 1
            guard child < mergeCount else { break }
            if child + 1 < mergeCount, merges[child + 1].precedes(merges[child]) { child += 1 }
            guard merges[child].precedes(last) else { break }
            merges[place] = merges[child]
            place = child
        }
        merges[place] = last
        return top
    }

    /// Gives memory back that one unusually long text needed.
    func trim() {
        let limit = 1 << 20
        if normalizedCapacity > limit {
            normalizedCapacity = 4096
            normalized.deallocate()
            normalized = .allocate(capacity: normalizedCapacity)
        }
        if symbolCapacity > limit / 16 {
            symbolCapacity = 256
            mergeCapacity = 3 * symbolCapacity
            symbols.deallocate()
            merges.deallocate()
            symbols = .allocate(capacity: symbolCapacity)
            merges = .allocate(capacity: mergeCapacity)
        }
    }
}

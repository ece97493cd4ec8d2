/// Memory for one encoding at a time. A tokenizer hands it to one call at a time, under its lock, hence `@unchecked Sendable`.
final class BPEWorkspace: @unchecked Sendable {
    /// Words of up to so many symbols merge by plain search, longer ones through a queue.
    static let shortCount = 64

    /// [shortCount] the symbols of a short word; rank and result of each one's merge with the next.
    let ids: UnsafeMutablePointer<Int32>
    let ranks: UnsafeMutablePointer<Int32>
    let results: UnsafeMutablePointer<Int32>
    let queue = MergeWorkspace()
    let cache = WordCache()

    init() {
        ids = .allocate(capacity: Self.shortCount)
        ranks = .allocate(capacity: Self.shortCount)
        results = .allocate(capacity: Self.shortCount)
    }

    deinit {
        ids.deallocate()
        ranks.deallocate()
        results.deallocate()
    }
}

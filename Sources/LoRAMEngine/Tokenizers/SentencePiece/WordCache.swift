/// The ids of recent words, in a fixed amount of memory: each word has one place, and the last to come holds it.
final class WordCache {
    static let maximumWordCount = 32
    static let maximumIDCount = 7
    private static let entryCount = 1 << 13

    struct Entry {
        /// 32 bytes, unused ones zero; words longer than this are not cached.
        var word: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var wordCount: Int16 = 0
        var idCount: Int16 = 0
        var ids: (Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0, 0, 0)
    }

    private let entries: UnsafeMutablePointer<Entry>

    init() {
        entries = .allocate(capacity: Self.entryCount)
        entries.initialize(repeating: Entry(), count: Self.entryCount)
    }

    deinit { entries.deallocate() }

    /// The place of a word of 1 ... `maximumWordCount` bytes, and its bytes padded with zeros.
    @inline(__always)
    func place(of word: UnsafePointer<UInt8>, _ count: Int) -> (entry: UnsafeMutablePointer<Entry>, padded: (UInt64, UInt64, UInt64, UInt64)) {
        var padded: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &padded) { $0.baseAddress!.copyMemory(from: word, byteCount: count) }
        let hash = byteHash(word, count)
        return (entries + Int(truncatingIfNeeded: hash >> 40) & (Self.entryCount - 1), padded)
    }
}

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

    /// Appends the ids of a word if its place holds them.
    @inline(__always)
    static func appendIDs(
        of entry: UnsafeMutablePointer<Entry>, _ padded: (UInt64, UInt64, UInt64, UInt64), _ count: Int, to ids: inout [Int32]
    ) -> Bool {
        guard entry.pointee.wordCount == count, entry.pointee.word == padded else { return false }
        withUnsafeBytes(of: &entry.pointee.ids) { bytes in
            for index in 0..<Int(entry.pointee.idCount) { ids.append(bytes.load(fromByteOffset: 4 * index, as: Int32.self)) }
        }
        return true
    }

    /// Remembers ids[first...] as those of a word, unless there are too many.
    @inline(__always)
    static func store(
        _ ids: [Int32], from first: Int, _ padded: (UInt64, UInt64, UInt64, UInt64), _ count: Int, in entry: UnsafeMutablePointer<Entry>
    ) {
        guard ids.count - first <= maximumIDCount else { return }
        entry.pointee.word = padded
        entry.pointee.wordCount = Int16(count)
        entry.pointee.idCount = Int16(ids.count - first)
        withUnsafeMutableBytes(of: &entry.pointee.ids) { bytes in
            for index in first..<ids.count { bytes.storeBytes(of: ids[index], toByteOffset: 4 * (index - first), as: Int32.self) }
        }
    }
}

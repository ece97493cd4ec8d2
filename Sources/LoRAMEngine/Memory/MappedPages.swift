import Synchronization

/// Keeps what a large mapped file takes of this process's memory within bounds: pages that were read stay in the page cache, from which they come
/// back when they are read again.
///
/// Without it a file that is read from end to end would be resident as a whole, as far as the system lets it.
final class MappedPages: Sendable {
    /// Of the file in memory at most, about.
    static let byteCount = 32 << 20
    /// What a page fault may bring in around its page: the page cache keeps files in pieces of up to this size.
    private static let faultByteCount = 2 << 20

    private let file: MappedFile
    private let seen = Atomic<Int>(0)

    init(_ file: MappedFile) { self.file = file }

    /// Bytes somewhere in the file are about to be read.
    func read(_ count: Int) { pass(max(count, Self.faultByteCount)) }

    /// Bytes behind those of the last call were read.
    func pass(_ count: Int) {
        guard file.count > Self.byteCount, seen.wrappingAdd(count, ordering: .relaxed).newValue > Self.byteCount else { return }
        seen.store(0, ordering: .relaxed)
        file.advise(.dontNeed)
    }
}

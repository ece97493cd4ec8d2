/// Which two neighbouring tokens merge, into what, and how early: an immutable map from pairs of ids, open addressing, at most half
/// full.
///
/// Shared by threads without locks: nothing changes after init, hence `@unchecked Sendable`.
final class PairTable: @unchecked Sendable {
    struct Merge: Sendable {
        var left: Int32
        var right: Int32
        /// Lower ones merge first; below 2^24.
        var rank: Int32
        var result: Int32
    }

    private struct Slot {
        /// left in the upper half, right in the lower; all ones where there is none.
        var key: UInt64 = .max
        var rank: Int32 = .max
        var result: Int32 = -1
    }

    /// Ranks pass through Float, which is exact below this.
    static let maximumCount = 1 << 24

    private let slots: UnsafeMutablePointer<Slot>
    private let shift: UInt64
    private let mask: Int

    /// - Parameter merges: of two with the same pair the later one counts.
    init(_ merges: [Merge]) {
        var bits: UInt64 = 4
        while 1 << bits < 2 * merges.count { bits += 1 }
        shift = 64 - bits
        mask = 1 << Int(bits) - 1
        slots = .allocate(capacity: mask + 1)
        slots.initialize(repeating: Slot(), count: mask + 1)
        for merge in merges {
            let key = Self.key(merge.left, merge.right)
            var slot = place(key)
            while slots[slot].key != .max, slots[slot].key != key { slot = (slot + 1) & mask }
            slots[slot] = Slot(key: key, rank: merge.rank, result: merge.result)
        }
    }

    deinit { slots.deallocate() }

    /// Rank and result of a pair; rank `Int32.max` for one that does not merge.
    @inline(__always)
    func lookup(_ left: Int32, _ right: Int32) -> (rank: Int32, result: Int32) {
        let key = Self.key(left, right)
        var slot = place(key)
        while true {
            let entry = slots[slot]
            if entry.key == key || entry.key == .max { return (entry.rank, entry.result) }
            slot = (slot + 1) & mask
        }
    }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    @inline(__always)
    private func place(_ key: UInt64) -> Int {
        Int(truncatingIfNeeded: ((key ^ key >> 29) &* 0x9e37_79b9_7f4a_7c15) >> shift)
    }
}

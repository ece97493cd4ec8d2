/// A hash of `count` bytes, good in all its bits. Not keyed: a hostile vocabulary can only slow down its own use.
@inline(__always)
func byteHash(_ start: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let bytes = UnsafeRawPointer(start)
    var hash = UInt64(truncatingIfNeeded: count) &* 0x9e37_79b9_7f4a_7c15 ^ 0x2545_f491_4f6c_dd1d
    var offset = 0
    while count - offset > 8 {
        hash = foldedMultiply(hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        offset += 8
    }
    let rest = count - offset
    if rest >= 4 {
        let low = UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let high = UInt64(bytes.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        hash ^= low | high << 32
    } else if rest > 0 {
        hash ^= UInt64(start[offset]) | UInt64(start[offset + rest >> 1]) << 8 | UInt64(start[count - 1]) << 16
    }
    return foldedMultiply(hash)
}

@inline(__always)
private func foldedMultiply(_ value: UInt64) -> UInt64 {
    let product = value.multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
    return product.high ^ product.low
}

/// An immutable map from byte strings to numbers: open addressing, at most half full.
///
/// Shared by threads without locks: nothing changes after init, hence `@unchecked Sendable`.
final class PieceTable: @unchecked Sendable {
    private struct Slot {
        /// Upper half of the hash: most lookups that fail never read a key.
        var tag: UInt32 = 0
        /// Index of the key, -1 for an empty slot.
        var key: Int32 = -1
    }

    private struct Key {
        var start: Int32
        var count: Int32
        var value: Int32
    }

    private let slots: UnsafeMutablePointer<Slot>
    private let mask: Int
    private let keys: UnsafeMutablePointer<Key>
    private let text: UnsafeMutablePointer<UInt8>
    /// Length of the longest key: nothing longer needs to be hashed.
    let maximumKeyCount: Int

    /// - Parameter entries: distinct keys.
    init(_ entries: [(key: ArraySlice<UInt8>, value: Int32)]) {
        var capacity = 16
        while capacity < 2 * entries.count { capacity *= 2 }
        mask = capacity - 1
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(), count: capacity)
        keys = .allocate(capacity: max(entries.count, 1))
        text = .allocate(capacity: max(entries.reduce(0) { $0 + $1.key.count }, 1))
        maximumKeyCount = entries.map(\.key.count).max() ?? 0
        var start = 0
        for (index, entry) in entries.enumerated() {
            for (offset, byte) in entry.key.enumerated() { text[start + offset] = byte }
            keys[index] = Key(start: Int32(start), count: Int32(entry.key.count), value: entry.value)
            let hash = byteHash(text + start, entry.key.count)
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot].key >= 0 { slot = (slot + 1) & mask }
            slots[slot] = Slot(tag: UInt32(truncatingIfNeeded: hash >> 32), key: Int32(index))
            start += entry.key.count
        }
    }

    deinit {
        slots.deallocate()
        keys.deallocate()
        text.deallocate()
    }

    /// The value of the key with these bytes, or -1.
    @inline(__always)
    func lookup(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        guard count <= maximumKeyCount else { return -1 }
        let hash = byteHash(start, count)
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let entry = slots[slot]
            if entry.key < 0 { return -1 }
            if entry.tag == tag {
                let key = keys[Int(entry.key)]
                if Int(key.count) == count, Self.areEqual(text + Int(key.start), start, count) { return key.value }
            }
            slot = (slot + 1) & mask
        }
    }

    /// Keys are a few bytes long: a loop beats the call of a library function.
    @inline(__always)
    private static func areEqual(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var offset = 0
        while count - offset >= 8 {
            let left = UnsafeRawPointer(a).loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let right = UnsafeRawPointer(b).loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            if left != right { return false }
            offset += 8
        }
        while offset < count {
            if a[offset] != b[offset] { return false }
            offset += 1
        }
        return true
    }
}

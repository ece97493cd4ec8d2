import Glibc

/// The first place at or after `start` that holds `byte`.
func firstIndex(of byte: UInt8, in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    guard let base = bytes.baseAddress, start < bytes.count,
        let found = memchr(base + start, Int32(byte), bytes.count - start)
    else { return nil }
    return UnsafePointer(found.assumingMemoryBound(to: UInt8.self)) - base
}

/// The first place at or after `start` at which `pattern` (not empty) occurs.
func firstOccurrence(of pattern: [UInt8], in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    var position = start
    while let candidate = firstIndex(of: pattern[0], in: bytes, from: position) {
        guard bytes.count - candidate >= pattern.count else { return nil }
        if pattern.indices.allSatisfy({ bytes[candidate + $0] == pattern[$0] }) { return candidate }
        position = candidate + 1
    }
    return nil
}

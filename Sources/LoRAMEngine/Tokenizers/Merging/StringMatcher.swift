/// Finds which of a few strings (special tokens, user-defined symbols) starts at a place in a text.
struct StringMatcher: Sendable {
    struct Match {
        var id: Int32
        var count: Int
    }

    private struct Candidate: Sendable {
        var bytes: [UInt8]
        var id: Int32
    }

    /// [256] by first byte: range in `candidates`, longest first.
    private let ranges: [Range<Int>]
    private let candidates: [Candidate]

    /// - Parameter strings: distinct, none empty.
    init(_ strings: [(bytes: ArraySlice<UInt8>, id: Int32)]) {
        candidates = strings.map { Candidate(bytes: Array($0.bytes), id: $0.id) }.sorted {
            $0.bytes[0] != $1.bytes[0] ? $0.bytes[0] < $1.bytes[0] : $0.bytes.count > $1.bytes.count
        }
        var ranges = [Range<Int>](repeating: 0..<0, count: 256)
        for (index, candidate) in candidates.enumerated() {
            let first = Int(candidate.bytes[0])
            ranges[first] = (ranges[first].isEmpty ? index : ranges[first].lowerBound)..<index + 1
        }
        self.ranges = ranges
    }

    var isEmpty: Bool { candidates.isEmpty }
    var strings: [[UInt8]] { candidates.map(\.bytes) }

    /// The longest string that starts at `position`.
    func match(_ text: UnsafeBufferPointer<UInt8>, at position: Int) -> Match? {
        for index in ranges[Int(text[position])] {
            let candidate = candidates[index]
            guard candidate.bytes.count <= text.count - position else { continue }
            let isEqual = candidate.bytes.indices.allSatisfy { text[position + $0] == candidate.bytes[$0] }
            if isEqual { return Match(id: candidate.id, count: candidate.bytes.count) }
        }
        return nil
    }

    /// The first match at or after `position`.
    func firstMatch(_ text: UnsafeBufferPointer<UInt8>, from position: Int) -> (position: Int, match: Match)? {
        ranges.withUnsafeBufferPointer { ranges in
            for place in position..<text.count where !ranges[Int(text[place])].isEmpty {
                if let match = match(text, at: place) { return (place, match) }
            }
            return nil
        }
    }
}

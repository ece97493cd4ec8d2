/// Looks for stop strings in a text that comes in pieces, and holds back what may be the beginning of one.
package struct StopStrings {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    /// One was found: nothing follows.
    package private(set) var isStopped = false

    /// None of the strings is empty.
    package init(_ strings: [String]) {
        stops = strings.map { Array($0.utf8) }
    }

    /// The text that is known to belong to no stop string, with this piece.
    package mutating func append(_ piece: [UInt8]) -> [UInt8] {
        held += piece
        if let start = held.indices.first(where: { start in stops.contains { held[start...].starts(with: $0) } }) {
            isStopped = true
            return release(start)
        }
        let open = held.indices.first { start in stops.contains { $0.starts(with: held[start...]) } }
        return release(open ?? held.count)
    }

    /// The rest, where the text ends by itself.
    package mutating func finish() -> [UInt8] { isStopped ? [] : release(held.count) }

    private mutating func release(_ count: Int) -> [UInt8] {
        defer { held.removeFirst(count) }
        return Array(held[..<count])
    }
}

/// Finds added tokens in a text, as they want to be found.
struct AddedTokenMatcher: Sendable {
    private let strings: StringMatcher
    /// Tokens with wishes about their surroundings, by id.
    private let particular: [Int32: BPEDefinition.AddedToken]
    private let specials: Set<Int32>

    /// - Parameter tokens: with the strings that are looked for as `content`; of equal ones the first counts, empty ones not at all.
    init(_ tokens: [BPEDefinition.AddedToken]) {
        var seen: Set<[UInt8]> = [[]]
        let distinct = tokens.filter { seen.insert($0.content).inserted }
        strings = StringMatcher(distinct.map { (bytes: $0.content[...], id: $0.id) })
        specials = Set(distinct.filter(\.isSpecial).map(\.id))
        particular = Dictionary(
            uniqueKeysWithValues: distinct.filter { $0.singleWord || $0.stripsLeft || $0.stripsRight }.map { ($0.id, $0) })
    }

    var isEmpty: Bool { strings.isEmpty }
    /// The text can be cut before a space behind a letter without a token noticing.
    var allowsCuts: Bool { particular.isEmpty && !strings.strings.contains { $0.contains(UInt8(ascii: " ")) } }
    var shortestCount: Int { strings.strings.map(\.count).min() ?? .max }

    struct Found {
        var range: Range<Int>
        var id: Int32
    }

    /// The next token at or after `position`. The leftmost one, of several there the longest.
    ///
    /// - Parameter special: whether special tokens count; the others always do.
    func next(_ text: UnsafeBufferPointer<UInt8>, from position: Int, special: Bool) -> Found? {
        guard !strings.isEmpty else { return nil }
        var position = position
        let first = position
        while position < text.count, let (place, match) = strings.firstMatch(text, from: position) {
            position = place + match.count
            if !special, specials.contains(match.id) { continue }
            var range = place..<position
            if let token = particular[match.id] {
                if token.singleWord, Self.isWord(before: place, text) || Self.isWord(at: position, text) { continue }
                if token.stripsLeft { range = max(first, Self.startOfSpace(before: place, text))..<range.upperBound }
                if token.stripsRight { range = range.lowerBound..<Self.endOfSpace(from: position, text) }
            }
            return Found(range: range, id: match.id)
        }
        return nil
    }

    // MARK: - Surroundings

    private static func scalar(at position: Int, _ text: UnsafeBufferPointer<UInt8>) -> Unicode.Scalar? {
        guard position < text.count else { return nil }
        var decoder = UTF8()
        var bytes = text[position...].makeIterator()
        if case .scalarValue(let scalar) = decoder.decode(&bytes) { return scalar }
        return nil
    }

    private static func start(before position: Int, _ text: UnsafeBufferPointer<UInt8>) -> Int? {
        guard position > 0 else { return nil }
        var start = position - 1
        while start > 0, text[start] & 0xc0 == 0x80 { start -= 1 }
        return start
    }

    private static func isWord(before position: Int, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        start(before: position, text).flatMap { scalar(at: $0, text) }.map(isWordCharacter) ?? false
    }

    private static func isWord(at position: Int, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        scalar(at: position, text).map(isWordCharacter) ?? false
    }

    /// `\w`: letters, marks, decimal digits, connectors and the two joiners.
    private static func isWordCharacter(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.properties.isAlphabetic || scalar.properties.isJoinControl { return true }
        return switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: true
        default: false
        }
    }

    private static func startOfSpace(before position: Int, _ text: UnsafeBufferPointer<UInt8>) -> Int {
        var result = position
        while let start = start(before: result, text), scalar(at: start, text)?.properties.isWhitespace == true { result = start }
        return result
    }

    private static func endOfSpace(from position: Int, _ text: UnsafeBufferPointer<UInt8>) -> Int {
        var result = position
        while let scalar = scalar(at: result, text), scalar.properties.isWhitespace { result += UTF8.width(scalar) }
        return result
    }
}

/// A set of characters that a pattern names: one bit for each ASCII character, classes and ranges for the others.
struct ScalarSet: Sendable, Equatable {
    /// Bits of U+0000 ... U+003F and of U+0040 ... U+007F.
    private(set) var low: UInt64 = 0
    private(set) var high: UInt64 = 0
    private var classes: UInt32 = 0
    private var ranges: [ClosedRange<UInt32>] = []
    private var isNegated = false

    /// - Parameter classes: a mask of `ScalarClass` bits.
    init(classes: UInt32 = 0, ranges: [ClosedRange<UInt32>] = [], includesASCIISpace: Bool = false) {
        self.classes = classes
        self.ranges = ranges
        for value in UInt32(0)..<0x80 {
            let isMember = classes >> UInt32(ScalarClass.of(value)) & 1 == 1 || ranges.contains { $0.contains(value) }
            let isSpace = includesASCIISpace && (value == 0x20 || (0x09...0x0d).contains(value))
            if isMember || isSpace { insertASCII(value) }
        }
    }

    static let whitespace = ScalarSet(classes: ScalarClass.whitespace, includesASCIISpace: true)
    static let digits = ScalarSet(classes: 1 << 8)
    /// `.`: all but a line feed.
    static let notLineFeed = ScalarSet(ranges: [0x0a...0x0a]).inverted

    var inverted: ScalarSet {
        var result = self
        result.low = ~low
        result.high = ~high
        result.isNegated.toggle()
        return result
    }

    /// nil where one of the two is an inverted set beside something else: then ASCII says too little about it.
    func union(_ other: ScalarSet) -> ScalarSet? {
        guard isNegated == other.isNegated || isEmpty || other.isEmpty else { return nil }
        if isEmpty { return other }
        if other.isEmpty { return self }
        guard !isNegated else { return nil }
        var result = self
        result.low |= other.low
        result.high |= other.high
        result.classes |= other.classes
        result.ranges += other.ranges
        return result
    }

    private var isEmpty: Bool { low == 0 && high == 0 && classes == 0 && ranges.isEmpty && !isNegated }

    /// Both cases of every ASCII letter in it, and the two letters beyond ASCII that fold to one (U+017F, U+212A).
    var ignoringCase: ScalarSet {
        guard !isNegated else { return self }
        var result = self
        for value in UInt32(0x41)...0x5a where containsASCII(value) || containsASCII(value | 0x20) {
            result.insertASCII(value)
            result.insertASCII(value | 0x20)
            if value == 0x53 { result.ranges.append(0x17f...0x17f) }
            if value == 0x4b { result.ranges.append(0x212a...0x212a) }
        }
        for range in ranges where range.count == 1 && range.lowerBound >= 0x80 {
            guard let scalar = Unicode.Scalar(range.lowerBound) else { continue }
            for variant in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] where variant.unicodeScalars.count == 1 {
                let value = variant.unicodeScalars.first!.value
                result.ranges.append(value...value)
            }
        }
        return result
    }

    @inline(__always)
    func containsASCII(_ value: UInt32) -> Bool {
        (value < 64 ? low >> UInt64(value) : high >> UInt64(value & 63)) & 1 == 1
    }

    /// For scalars from U+0080 on.
    @inline(__always)
    func containsBeyondASCII(_ value: UInt32) -> Bool {
        let isMember = classes >> UInt32(ScalarClass.of(value)) & 1 == 1 || (!ranges.isEmpty && isInRanges(value))
        return isMember != isNegated
    }

    private func isInRanges(_ value: UInt32) -> Bool { ranges.contains { $0.contains(value) } }

    var containsASCIILetter: Bool { high & 0x07ff_fffe_07ff_fffe != 0 }

    private mutating func insertASCII(_ value: UInt32) {
        if value < 64 { low |= 1 << UInt64(value) } else { high |= 1 << UInt64(value - 64) }
    }
}

/// The class of every Unicode scalar: its general category, as a bit number, with one class of its own for the control character
/// that is white space (U+0085), so that any set a pattern names is a mask of classes.
///
/// Two stages of 256 scalars a page, made once for a process, in some milliseconds.
enum ScalarClass {
    static let count = 31
    static let nextLine: UInt8 = 30

    /// Bit mask of the classes a property name stands for: `L`, `Lu`, `N`, `Zs` ...; nil for names that are no general category.
    static func mask(property name: String) -> UInt32? {
        if name == "Any" { return (1 << UInt32(count)) - 1 }
        if name == "L&" || name == "LC" { return 0b111 }
        let members = names.indices.filter { names[$0] == name || (name.utf8.count == 1 && names[$0].hasPrefix(name)) }
        guard !members.isEmpty else { return nil }
        var mask = members.reduce(UInt32(0)) { $0 | 1 << UInt32($1) }
        if name == "Cc" || name == "C" { mask |= 1 << UInt32(nextLine) }
        return mask
    }

    /// The classes beyond ASCII that `\s` has: Zs, Zl, Zp and U+0085.
    static let whitespace: UInt32 = 1 << 22 | 1 << 23 | 1 << 24 | 1 << UInt32(nextLine)

    @inline(__always)
    static func of(_ scalar: UInt32) -> UInt8 {
        table.classes[Int(table.pages[Int(scalar >> 8)]) << 8 | Int(scalar & 0xff)]
    }

    private static let names = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So",
        "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
    ]

    /// Never freed and never written once made.
    private struct Table: @unchecked Sendable {
        let pages: UnsafeMutablePointer<UInt16>
        let classes: UnsafeMutablePointer<UInt8>
    }

    private static let table: Table = {
        let pageCount = 0x1100
        let pages = UnsafeMutablePointer<UInt16>.allocate(capacity: pageCount)
        var classes: [UInt8] = []
        var known: [[UInt8]: UInt16] = [:]
        for page in 0..<pageCount {
            let content = (0..<UInt32(256)).map { slowClass(UInt32(page) << 8 | $0) }
            if let index = known[content] {
                pages[page] = index
            } else {
                let index = UInt16(classes.count >> 8)
                known[content] = index
                pages[page] = index
                classes += content
            }
        }
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: classes.count)
        memory.initialize(from: classes, count: classes.count)
        return Table(pages: pages, classes: memory)
    }()

    private static func slowClass(_ value: UInt32) -> UInt8 {
        // Planes 4 to 13 hold nothing yet, 15 and 16 are private but for their last two.
        if (0x4_0000..<0xe_0000).contains(value) { return 29 }
        if value >= 0xf_0000 { return value & 0xffff >= 0xfffe ? 29 : 28 }
        guard let scalar = Unicode.Scalar(value) else { return 27 }
        if value == 0x85 { return nextLine }
        return switch scalar.properties.generalCategory {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        case .unassigned: 29
        @unknown default: 29
        }
    }
}

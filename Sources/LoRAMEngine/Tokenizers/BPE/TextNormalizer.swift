import Foundation

/// A change of the text before anything else is done with it: the `normalizer` of a tokenizer.json.
enum TextNormalizer: Sendable, Equatable {
    enum Form: String, CaseIterable { case nfc = "NFC", nfd = "NFD", nfkc = "NFKC", nfkd = "NFKD" }

    case prepend([UInt8])
    /// `pattern` is not empty.
    case replace(pattern: [UInt8], with: [UInt8])
    case unicode(Form)
    case lowercase
    case strip(left: Bool, right: Bool)

    /// - Parameter isContinuation: the text goes on behind another: nothing is put in front.
    func apply(_ text: [UInt8], isContinuation: Bool) -> [UInt8] {
        switch self {
        case .prepend(let prefix): isContinuation || text.isEmpty ? text : prefix + text
        case .replace(let pattern, let replacement): Self.replace(text, pattern, replacement)
        case .unicode(let form): text.allSatisfy { $0 < 0x80 } ? text : Self.normalized(text, form)
        case .lowercase: Array(String(decoding: text, as: UTF8.self).unicodeScalars.reduce(into: "") { $0 += $1.properties.lowercaseMapping }.utf8)
        case .strip(let left, let right): Self.strip(text, left, right)
        }
    }

    private static func replace(_ text: [UInt8], _ pattern: [UInt8], _ replacement: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count + text.count / 4)
        text.withUnsafeBufferPointer { text in
            var position = 0
            while let found = firstOccurrence(of: pattern, in: text, from: position) {
                result.append(contentsOf: text[position..<found])
                result.append(contentsOf: replacement)
                position = found + pattern.count
            }
            result.append(contentsOf: text[position...])
        }
        return result
    }

    /// The reference implementation knows the characters of Unicode 12.0: what came later stays as it is, and apart from the rest.
    private static func normalized(_ text: [UInt8], _ form: Form) -> [UInt8] {
        var result: [UInt8] = []
        var known = ""
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            guard let age = scalar.properties.age, (age.major, age.minor) > (12, 0) else {
                known.unicodeScalars.append(scalar)
                continue
            }
            result += normalized(known, form)
            known = ""
            result += Array(String(scalar).utf8)
        }
        return result + normalized(known, form)
    }

    private static func normalized(_ string: String, _ form: Form) -> [UInt8] {
        switch form {
        case .nfc: Array(string.precomposedStringWithCanonicalMapping.utf8)
        case .nfd: Array(string.decomposedStringWithCanonicalMapping.utf8)
        case .nfkc: Array(string.precomposedStringWithCompatibilityMapping.utf8)
        case .nfkd: Array(string.decomposedStringWithCompatibilityMapping.utf8)
        }
    }

    private static func strip(_ text: [UInt8], _ left: Bool, _ right: Bool) -> [UInt8] {
        let scalars = Array(String(decoding: text, as: UTF8.self).unicodeScalars)
        func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
        let start = left ? scalars.firstIndex { !isSpace($0) } ?? scalars.count : 0
        let end = right ? (scalars[start...].lastIndex { !isSpace($0) } ?? start - 1) + 1 : scalars.count
        return Array(String(String.UnicodeScalarView(scalars[start..<end])).utf8)
    }

    /// Bytes of the result for one byte of a text, at most.
    var maximumExpansion: Int {
        switch self {
        case .prepend, .strip: 1
        // U+FDFA: 3 bytes become 33; U+0390 and others: 2 become 6.
        case .unicode: 11
        case .lowercase: 2
        case .replace(let pattern, let replacement): max(1, (replacement.count + pattern.count - 1) / pattern.count)
        }
    }

    /// Whether a text can be cut between an ASCII letter and a space, and its parts be changed one by one.
    var allowsCuts: Bool {
        switch self {
        case .prepend, .unicode, .lowercase: true
        // A pattern longer than one character could span the cut.
        case .replace(let pattern, _): pattern.count == 1 || String(decoding: pattern, as: UTF8.self).unicodeScalars.count == 1
        case .strip: false
        }
    }
}

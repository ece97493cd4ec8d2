extension SplitPattern {
    /// What a pattern has that this reader does not understand, and where.
    struct SyntaxError: Error {
        var offset: Int
        var found: String
    }

    /// - Throws: `SyntaxError`
    convenience init(parsing pattern: String) throws(SyntaxError) {
        var parser = Parser(scalars: Array(pattern.unicodeScalars))
        self.init(try parser.whole())
    }

    /// The pattern by which GPT-2 and its descendants split.
    static let gpt2 = known(#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#)
    /// Llama 3's.
    static let llama3 = known(
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#)
    static let numberCharacters = known(#"\p{N}"#)
    static let numbers = known(#"\p{N}+"#)
    static let whitespace = known(#"\s"#)

    private static func known(_ pattern: String) -> SplitPattern {
        do { return try SplitPattern(parsing: pattern) } catch { preconditionFailure("\(error)") }
    }

    private struct Parser {
        let scalars: [Unicode.Scalar]
        var position = 0
        var depth = 0
        var ignoresCase = false

        init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

        private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

        private func error(_ found: String? = nil) -> SyntaxError {
            let rest = String(String.UnicodeScalarView(scalars[position...].prefix(12)))
            return SyntaxError(offset: position, found: found ?? (rest.isEmpty ? "its end" : rest))
        }

        private mutating func take(_ text: String) -> Bool {
            guard scalars[position...].starts(with: text.unicodeScalars) else { return false }
            position += text.unicodeScalars.count
            return true
        }

        mutating func whole() throws(SyntaxError) -> Expression {
            let result = try alternatives()
            guard position == scalars.count else { throw error() }
            return result
        }

        private mutating func alternatives() throws(SyntaxError) -> Expression {
            var options = [try sequence()]
            while take("|") { options.append(try sequence()) }
            return options.count == 1 ? options[0] : .alternatives(options)
        }

        private mutating func sequence() throws(SyntaxError) -> Expression {
            var parts: [Expression] = []
            while let scalar = next, scalar != "|", scalar != ")" { parts.append(try element()) }
            return .sequence(parts)
        }

        private mutating func element() throws(SyntaxError) -> Expression {
            if take("(?!") { return try lookahead(isNegative: true) }
            if take("(?=") { return try lookahead(isNegative: false) }
            for opening in ["(?i:", "(?:", "("] where take(opening) {
                if opening == "(", next == "?" {
                    position -= 1
                    throw error()
                }
                return try group(ignoringCase: opening == "(?i:")
            }
            return try repeated(try set())
        }

        private mutating func group(ignoringCase: Bool) throws(SyntaxError) -> Expression {
            guard depth < 16 else { throw error("more than 16 nested groups") }
            depth += 1
            let outer = ignoresCase
            ignoresCase = outer || ignoringCase
            let content = try alternatives()
            ignoresCase = outer
            depth -= 1
            guard take(")") else { throw error() }
            if take("?") {
                if let scalar = next, "?+*".unicodeScalars.contains(scalar) { throw error() }
                return .alternatives([content, .sequence([])])
            }
            if let scalar = next, "*+{".unicodeScalars.contains(scalar) { throw error("a repeated group") }
            return content
        }

        private mutating func lookahead(isNegative: Bool) throws(SyntaxError) -> Expression {
            let set = try set()
            guard take(")") else { throw error() }
            return .lookahead(set, isNegative: isNegative)
        }

        private mutating func repeated(_ set: ScalarSet) throws(SyntaxError) -> Expression {
            var minimum = 1
            var maximum = 1
            var isCounted = false
            if take("?") {
                minimum = 0
            } else if take("*") {
                (minimum, maximum) = (0, .max)
            } else if take("+") {
                maximum = .max
            } else if take("{") {
                isCounted = true
                minimum = number() ?? 0
                maximum = minimum
                if take(",") { maximum = number() ?? .max }
                guard take("}"), minimum <= maximum, maximum > 0 else { throw error() }
            } else {
                return .set(set, minimum: 1, maximum: 1, isPossessive: false)
            }
            // Engines differ in what a plus behind braces means.
            if next == "?" || next == "*" || (isCounted && next == "+") { throw error() }
            return .set(set, minimum: minimum, maximum: maximum, isPossessive: take("+"))
        }

        private mutating func number() -> Int? {
            var value: Int?
            while let digit = next?.properties.numericType == .decimal ? next.flatMap({ Int(String($0)) }) : nil, (value ?? 0) < 10_000 {
                value = (value ?? 0) * 10 + digit
                position += 1
            }
            return value
        }

        // MARK: - Sets

        private mutating func set() throws(SyntaxError) -> ScalarSet {
            guard let scalar = next else { throw error() }
            let result: ScalarSet
            switch scalar {
            case "[": result = try bracket()
            case "\\": result = try escape()
            case ".":
                position += 1
                return .notLineFeed
            case "^", "$", "*", "+", "?", "{", "(", ")", "|": throw error()
            default:
                position += 1
                result = ScalarSet(ranges: [scalar.value...scalar.value])
            }
            return ignoresCase ? result.ignoringCase : result
        }

        private mutating func bracket() throws(SyntaxError) -> ScalarSet {
            position += 1
            let isNegated = take("^")
            var result = ScalarSet()
            if next == "]" { throw error() }
            while !take("]") {
                guard let scalar = next, scalar != "[", !(scalar == "&" && position + 1 < scalars.count && scalars[position + 1] == "&") else {
                    throw error()
                }
                let part: ScalarSet
                if let low = try bound() {
                    if next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
                        position += 1
                        guard let high = try bound(), low <= high else { throw error() }
                        part = ScalarSet(ranges: [low...high])
                    } else {
                        part = ScalarSet(ranges: [low...low])
                    }
                } else {
                    part = try escape()
                }
                guard let union = result.union(part) else { throw error("an inverted set beside others in brackets") }
                result = union
            }
            return isNegated ? result.inverted : result
        }

        /// One character of a bracket; nil where an escape that stands for a whole set follows.
        private mutating func bound() throws(SyntaxError) -> UInt32? {
            guard let scalar = next else { throw error() }
            guard scalar == "\\" else {
                position += 1
                return scalar.value
            }
            return try escapedScalar()
        }

        private mutating func escape() throws(SyntaxError) -> ScalarSet {
            if let value = try escapedScalar() { return ScalarSet(ranges: [value...value]) }
            position += 1
            let letter = scalars[position]
            position += 1
            switch letter {
            case "s": return .whitespace
            case "S": return ScalarSet.whitespace.inverted
            case "d": return .digits
            case "D": return ScalarSet.digits.inverted
            default: return try property(isNegated: letter == "P")
            }
        }

        private mutating func property(isNegated: Bool) throws(SyntaxError) -> ScalarSet {
            var isNegated = isNegated
            var name = ""
            if take("{") {
                if take("^") { isNegated.toggle() }
                while let scalar = next, scalar != "}", name.utf8.count < 32 {
                    name.unicodeScalars.append(scalar)
                    position += 1
                }
                guard take("}") else { throw error() }
            } else if let scalar = next {
                name.unicodeScalars.append(scalar)
                position += 1
            }
            guard let mask = ScalarClass.mask(property: name) else { throw error("the property '\(name)'") }
            let set = ScalarSet(classes: mask)
            return isNegated ? set.inverted : set
        }

        /// The character of the escape at `position`; nil, with nothing taken, for one that names a set.
        private mutating func escapedScalar() throws(SyntaxError) -> UInt32? {
            guard position + 1 < scalars.count else { throw error() }
            let letter = scalars[position + 1]
            let simple: [Unicode.Scalar: UInt32] = ["n": 10, "r": 13, "t": 9, "f": 12, "v": 11]
            if let value = simple[letter] {
                position += 2
                return value
            }
            switch letter {
            case "s", "S", "d", "D", "p", "P": return nil
            case "x", "u":
                position += 2
                let isBraced = take("{")
                let digits = scalars[position...].prefix(isBraced ? 6 : letter == "x" ? 2 : 4).prefix { $0.properties.isASCIIHexDigit }
                position += digits.count
                guard let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16), !isBraced || take("}") else { throw error() }
                return value
            default:
                guard letter.isASCII, letter.value > 0x20, !letter.properties.isAlphabetic, !(0x30...0x39).contains(letter.value) else { throw error() }
                position += 2
                return letter.value
            }
        }
    }
}

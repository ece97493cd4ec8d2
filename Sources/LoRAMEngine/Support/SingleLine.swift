extension String {
    /// The text with control characters written as escapes: names and values from files must neither break a line of ours nor
    /// reach a terminal as commands.
    public var singleLine: String {
        guard unicodeScalars.contains(where: Self.breaksLine) else { return self }
        return unicodeScalars.reduce(into: "") { result, scalar in
            if Self.breaksLine(scalar) {
                result += scalar.escaped(asASCII: true)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }

    /// Control characters, and the line and paragraph separators.
    private static func breaksLine(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}

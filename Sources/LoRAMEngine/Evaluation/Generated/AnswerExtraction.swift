/// Finds the number in an answer to a GSM8K question, as lm-evaluation-harness's filters of gsm8k_cot do with regular expressions.
///
/// They work on Unicode scalars and know ASCII digits only; so does this, by hand, since their backtracking has effects that count.
public enum AnswerExtraction {
    /// What stands for an answer without a number.
    public static let invalid = "[invalid]"

    /// The first match of `The answer is (\-?[0-9\.\,]+).`: the last character of the number is left out where nothing follows it.
    public static func strict(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars), lead = Array("The answer is ".unicodeScalars)
        for start in scalars.indices where scalars[start...].starts(with: lead) {
            let first = start + lead.count
            let digits = first < scalars.count && scalars[first] == "-" ? first + 1 : first
            var end = digits
            while end < scalars.count, isDigit(scalars[end]) || scalars[end] == "." || scalars[end] == "," { end += 1 }
            guard end > digits else { continue }
            if end < scalars.count, scalars[end] != "\n" { return string(scalars[first..<end]) }
            if end - 1 > digits { return string(scalars[first..<end - 1]) }
        }
        return invalid
    }

    /// The last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)`.
    public static func flexible(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        var last: ArraySlice<Unicode.Scalar>?
        var at = 0
        while at < scalars.count {
            let body = scalars[at] == "-" ? at + 1 : at
            var end = body
            while end < scalars.count, isDigit(scalars[end]) || scalars[end] == "$" || scalars[end] == "." || scalars[end] == "," { end += 1 }
            // One character alone must be a digit.
            if end - body >= 2 || (end - body == 1 && isDigit(scalars[body])) {
                last = scalars[at..<end]
                at = end
            } else {
                at += 1
            }
        }
        return last.map(string) ?? invalid
    }

    /// What is compared: without `,` and `$`, all up to the last `#### `, and one `.` at the end; in lower case.
    public static func normalized(_ text: String) -> String {
        var scalars = Array(text.unicodeScalars).filter { $0 != "," && $0 != "$" }
        if let mark = lastRange(of: Array("#### ".unicodeScalars), in: scalars) { scalars.removeFirst(mark) }
        // `$` also stands before a newline at the end.
        if scalars.last == "." {
            scalars.removeLast()
        } else if scalars.count >= 2, scalars.last == "\n", scalars[scalars.count - 2] == "." {
            scalars.remove(at: scalars.count - 2)
        }
        return string(scalars[...]).lowercased()
    }

    public static func matches(_ answer: String, _ target: String) -> Bool { normalized(answer) == normalized(target) }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

    private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        String(String.UnicodeScalarView(scalars))
    }

    /// Where the last occurrence ends.
    private static func lastRange(of mark: [Unicode.Scalar], in scalars: [Unicode.Scalar]) -> Int? {
        guard scalars.count >= mark.count else { return nil }
        return (0...scalars.count - mark.count).last { scalars[$0..<$0 + mark.count].elementsEqual(mark) }.map { $0 + mark.count }
    }
}

extension JSONParser {
    /// A number at `position`: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
    mutating func number() throws -> JSONValue {
        let start = position
        let isNegative = take(UInt8(ascii: "-"))
        var magnitude: UInt64 = 0
        var overflows = false

        let firstDigit = position
        while let digit = nextDigit() {
            let (product, productOverflows) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, sumOverflows) = product.addingReportingOverflow(UInt64(digit))
            overflows = overflows || productOverflows || sumOverflows
            magnitude = sum
        }
        guard position > firstDigit else { throw unexpected("a digit") }
        if base[firstDigit] == UInt8(ascii: "0"), position > firstDigit + 1 {
            position = firstDigit + 1
            throw unexpected("no digit after a leading zero")
        }

        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try digits()
        }
        if position < count, base[position] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }

        if isInteger, !overflows {
            // Minus zero stays a Double: an Int would lose its sign.
            if isNegative, magnitude == 0 { return .double(-0.0) }
            if isNegative, magnitude <= UInt64(Int.max) + 1 { return .integer(Int(truncatingIfNeeded: 0 &- magnitude)) }
            if !isNegative, magnitude <= UInt64(Int.max) { return .integer(Int(magnitude)) }
        }
        // The standard library's conversion rounds correctly and knows no locale; the grammar was checked above.
        let text = String(decoding: UnsafeBufferPointer(start: base + start, count: position - start), as: UTF8.self)
        guard let value = Double(text), value.isFinite else { throw JSONError.numberOutOfRange(offset: start) }
        return .double(value)
    }

    private mutating func digits() throws {
        let first = position
        while nextDigit() != nil {}
        guard position > first else { throw unexpected("a digit") }
    }

    private mutating func nextDigit() -> UInt8? {
        guard position < count else { return nil }
        let digit = base[position] &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        position += 1
        return digit
    }
}

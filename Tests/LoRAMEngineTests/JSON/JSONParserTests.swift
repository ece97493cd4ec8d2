import LoRAMEngine
import Testing

@Suite struct JSONParserTests {
    @Test func readsEveryKindOfValue() throws {
        let value = try JSONValue.parse(#" {"a": [1, -2.5, 1e3, true, false, null], "b": {"c": "x"}, "": {}, "e": []} "#)
        #expect(value["a"] == [1, -2.5, 1000.0, true, false, nil])
        #expect(value["b"]?["c"]?.stringValue == "x")
        #expect(value[""] == [:])
        #expect(value["e"]?.arrayValue?.isEmpty == true)
        #expect(value.objectMembers?.map(\.key) == ["a", "b", "", "e"])
    }

    @Test func keepsIntegersExact() throws {
        #expect(try JSONValue.parse("9223372036854775807") == .integer(Int.max))
        #expect(try JSONValue.parse("-9223372036854775808") == .integer(Int.min))
        #expect(try JSONValue.parse("9223372036854775808") == .double(9223372036854775808))
        #expect(try JSONValue.parse("-9223372036854775809") == .double(-9223372036854775808))
        #expect(try JSONValue.parse("36893488147419103232") == .double(0x1p65))
        #expect(try JSONValue.parse("-0").doubleValue?.sign == .minus)
        #expect(try JSONValue.parse("1e2").intValue == 100)
        #expect(try JSONValue.parse("1.5").intValue == nil)
        #expect(try JSONValue.parse("1e30").intValue == nil)
    }

    @Test(arguments: [
        ("0.1", 0.1), ("1e-5", 1e-5), ("1E+2", 100), ("2.2250738585072014e-308", 2.2250738585072014e-308),
        ("4.9e-324", Double.leastNonzeroMagnitude), ("1e-400", 0), ("0.30000000000000004", 0.1 + 0.2), ("123456789012345678901234567890.5", 1.2345678901234568e29),
    ])
    func roundsDecimalsCorrectly(text: String, expected: Double) throws {
        #expect(try JSONValue.parse(text).doubleValue == expected)
    }

    @Test func decodesEscapesAndUnicode() throws {
        #expect(try JSONValue.parse(#""a\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00z""#) == "a\"\\/\u{8}\u{c}\n\r\tAé😀z")
        #expect(try JSONValue.parse("\"zwölf 😀 long enough for words\"") == "zwölf 😀 long enough for words")
        #expect(try JSONValue.parse("\u{feff}[1]") == [1])
    }

    @Test(arguments: [
        ("", JSONError.unexpectedEnd(expected: "a value", offset: 0)),
        ("[1,]", .unexpectedByte(UInt8(ascii: "]"), expected: "a value", offset: 3)),
        ("[1 2]", .unexpectedByte(UInt8(ascii: "2"), expected: "',' or ']' in an array", offset: 3)),
        ("{\"a\" 1}", .unexpectedByte(UInt8(ascii: "1"), expected: "':' after a key", offset: 5)),
        ("{a:1}", .unexpectedByte(UInt8(ascii: "a"), expected: "a key in quotes", offset: 1)),
        ("{\"a\":1,\"a\":2}", .duplicateKey("a", offset: 7)),
        ("{} x", .trailingBytes(offset: 3)),
        ("01", .unexpectedByte(UInt8(ascii: "1"), expected: "no digit after a leading zero", offset: 1)),
        ("-", .unexpectedEnd(expected: "a digit", offset: 1)),
        ("1.", .unexpectedEnd(expected: "a digit", offset: 2)),
        ("1e", .unexpectedEnd(expected: "a digit", offset: 2)),
        ("+1", .unexpectedByte(UInt8(ascii: "+"), expected: "a value", offset: 0)),
        ("1e999", .numberOutOfRange(offset: 0)),
        ("nul", .unexpectedEnd(expected: "null", offset: 3)),
        ("NaN", .unexpectedByte(UInt8(ascii: "N"), expected: "a value", offset: 0)),
        ("\"a", .unexpectedEnd(expected: "'\"' at the end of a string", offset: 2)),
        ("\"\\x\"", .invalidEscape(offset: 1)),
        ("\"\\ud800\"", .invalidEscape(offset: 1)),
        ("\"\\ud800\\u0041\"", .invalidEscape(offset: 1)),
        ("\"\\udc00\"", .invalidEscape(offset: 1)),
        ("\"\\u00g0\"", .invalidEscape(offset: 1)),
        ("\"a\nb\"", .unexpectedByte(10, expected: "no raw control character in a string", offset: 2)),
        ("\"1234567890\u{1}\"", .unexpectedByte(1, expected: "no raw control character in a string", offset: 11)),
    ])
    func refusesWhatIsNotJSON(text: String, expected: JSONError) {
        #expect(caught(JSONError.self) { _ = try JSONValue.parse(text) } == expected)
        #expect(!expected.description.contains("\n"))
    }

    @Test(arguments: [
        ([0xff], 1), ([0x61, 0xc3], 2), ([0xc0, 0x80], 1), ([0xed, 0xa0, 0x80], 1), ([0xf4, 0x90, 0x80, 0x80], 1),
        ([0xe0, 0x80, 0x80], 1), ([0x5c, 0x6e, 0xf0, 0x9f, 0x98], 3),
    ] as [([UInt8], Int)])
    func refusesInvalidUTF8(content: [UInt8], offset: Int) {
        let text = [0x22] + content + [0x22]
        #expect(caught(JSONError.self) { _ = try JSONValue.parse(text) } == .invalidUTF8(offset: offset))
    }

    @Test func limitsDepth() throws {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        _ = try JSONValue.parse(nested(128))
        #expect(caught(JSONError.self) { _ = try JSONValue.parse(nested(129)) } == .tooDeep(limit: 128, offset: 128))
        #expect(caught(JSONError.self) { _ = try JSONValue.parse(String(repeating: "{\"a\":", count: 100_000)) } == .tooDeep(limit: 128, offset: 640))
    }

    @Test func findsDuplicatesAmongManyKeys() throws {
        let members = (0..<1000).map { "\"k\($0)\":\($0)" }
        let value = try JSONValue.parse("{\(members.joined(separator: ","))}")
        #expect(value["k999"] == 999)
        #expect(throws: JSONError.self) { try JSONValue.parse("{\((members + ["\"k500\":1"]).joined(separator: ","))}") }
    }

    @Test func tellsKeysApartByBytes() throws {
        // Canonically equivalent, but different JSON keys: as tokenizer vocabularies have them.
        let value = try JSONValue.parse("{\"\u{e9}\": 1, \"e\u{301}\": 2}")
        #expect(value["\u{e9}"] == 1)
        #expect(value["e\u{301}"] == 2)
    }

    @Test func editsObjectsInPlace() {
        var value: JSONValue = ["a": 1, "b": 2]
        value["b"] = 3
        value["c"] = "x"
        value["a"] = Optional<JSONValue>.none
        #expect(value == ["b": 3, "c": "x"])
        #expect(value[7] == nil)
        #expect(JSONValue.array([1, 2])[1] == 2)
    }
}

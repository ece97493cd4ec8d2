import LoRAMEngine
import Testing

@Suite struct JSONScannerTests {
    private func elements(_ text: String) throws -> [String] {
        let bytes = Array(text.utf8)
        return try bytes.withUnsafeBytes { buffer in
            try JSONScanner.elementRanges(of: buffer).map { String(decoding: buffer[$0], as: UTF8.self) }
        }
    }

    @Test func findsElements() throws {
        #expect(try elements("[]").isEmpty)
        #expect(try elements(" [ ] \n").isEmpty)
        #expect(try elements("\u{feff}[1]") == ["1"])
        #expect(
            try elements(#"[ {"a": "]}\"\\"} , [1, [2, {}]],"x,]" ,-1.5e3,null ]"#)
                == [#"{"a": "]}\"\\"}"#, "[1, [2, {}]]", "\"x,]\"", "-1.5e3", "null"])
    }

    @Test(arguments: ["", "  ", "{}", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "[1] x", "[{\"a\":1]", "[\"a]", "[\"a\\"])
    func refusesBrokenArrays(text: String) {
        #expect(throws: JSONError.self) { try elements(text) }
    }

    @Test func agreesWithTheParserOnItsOwnOutput() throws {
        var random = SequentialRandom(CounterRandom(seed: 3, name: "scanner"))
        for _ in 0..<300 {
            let values = (0..<Int.random(in: 0..<8, using: &random)).map { _ in Self.value(depth: 0, &random) }
            let text = JSONValue.array(values).serialized(pretty: Bool.random(using: &random))
            #expect(try elements(text).map { try JSONValue.parse($0) } == values)
        }
    }

    @Test func stopsWithTheErrorOfTheBody() {
        struct Stop: Error {}
        #expect(throws: Stop.self) {
            try Array("[1,2]".utf8).withUnsafeBytes { try JSONScanner.elementRanges(of: $0) { _ in throw Stop() } }
        }
    }

    /// A random document with awkward strings.
    static func value(depth: Int, _ random: inout some RandomNumberGenerator) -> JSONValue {
        func text() -> String {
            String((0..<Int.random(in: 0..<12, using: &random)).map { _ in "ab\"\\[]{},: \u{e9}\u{1F600}\n".randomElement(using: &random)! })
        }
        switch Int.random(in: 0..<(depth < 4 ? 7 : 5), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .integer(Int.random(in: -1000...1000, using: &random))
        case 3: return .double(Double.random(in: -1...1, using: &random))
        case 4: return .string(text())
        case 5: return .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(depth: depth + 1, &random) })
        default:
            return .object((0..<Int.random(in: 0..<4, using: &random)).map { JSONMember("\($0)" + text(), value(depth: depth + 1, &random)) })
        }
    }
}

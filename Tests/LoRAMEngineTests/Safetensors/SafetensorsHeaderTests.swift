import LoRAMEngine
import Testing

@Suite struct SafetensorsHeaderTests {
    /// A file of a header and some zero bytes of data.
    static func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
        let text = Array(header.utf8)
        return withUnsafeBytes(of: (length ?? UInt64(text.count)).littleEndian) { Array($0) } + text + [UInt8](repeating: 0, count: data)
    }

    static func read(_ bytes: [UInt8]) throws -> SafetensorsHeader {
        try bytes.withUnsafeBytes { try SafetensorsHeader(file: $0, path: "f") }
    }

    static func tensor(_ name: String, _ dtype: String, _ shape: String, _ start: Int, _ end: Int) -> String {
        #""\#(name)":{"dtype":"\#(dtype)","shape":\#(shape),"data_offsets":[\#(start),\#(end)]}"#
    }

    @Test func acceptsUnorderedPaddedHeaders() throws {
        let header = try Self.read(
            Self.file("{\(Self.tensor("b", "F32", "[2]", 4, 12)),\(Self.tensor("e", "F32", "[0]", 4, 4)),\(Self.tensor("a", "U8", "[2,2]", 0, 4))}   ", data: 12))
        #expect(header.entries.map(\.info.name) == ["a", "e", "b"])
        #expect(header.entries.map(\.range.count) == [4, 0, 8])
        #expect(header.entries[0].range.lowerBound == header.dataStart)
    }

    @Test func acceptsAFileWithoutTensors() throws {
        #expect(try Self.read(Self.file("{}")).entries.isEmpty)
    }

    @Test(arguments: [
        ([1, 2, 3], SafetensorsError.tooShort(path: "f", byteCount: 3)),
        (file("{}", length: 100_000_001), .headerTooLong(path: "f", byteCount: 100_000_001, limit: 100_000_000)),
        (file("{}", length: .max), .headerTooLong(path: "f", byteCount: .max, limit: 100_000_000)),
        (file("{}", length: 3), .headerBeyondFile(path: "f", byteCount: 3, fileByteCount: 10)),
        (file(" {}"), .malformedHeader(path: "f", item: "start", expected: "'{'", found: "byte 32")),
        (file(""), .malformedHeader(path: "f", item: "start", expected: "'{'", found: "no header")),
        (file("{"), .headerNotJSON(path: "f", .unexpectedEnd(expected: "a key in quotes", offset: 1))),
        (file("{\"a\":1}"), .malformedHeader(path: "f", item: "tensor a", expected: "an object", found: "an integer")),
        (
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}", data: 4),
            .malformedHeader(path: "f", item: "tensor a", expected: "dtype, shape and data_offsets", found: "x too")
        ),
        (
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}"),
            .malformedHeader(path: "f", item: "tensor a: data_offsets", expected: "an array", found: "none")
        ),
        (file("{\(tensor("a", "F4", "[1]", 0, 4))}", data: 4), .unknownDType(path: "f", tensor: "a", found: "F4")),
        (
            file("{\(tensor("a", "F32", "[-1]", 0, 4))}", data: 4),
            .malformedHeader(path: "f", item: "tensor a: shape", expected: "non-negative integers", found: "-1")
        ),
        (
            file("{\(tensor("a", "F32", "[1.0]", 0, 4))}", data: 4),
            .malformedHeader(path: "f", item: "tensor a: shape", expected: "non-negative integers", found: "1.0")
        ),
        (
            file("{\(tensor("a", "F32", "[4294967296,4294967296]", 0, 4))}", data: 4),
            .shapeTooLarge(path: "f", tensor: "a", shape: [4_294_967_296, 4_294_967_296])
        ),
        (
            file("{\(tensor("a", "F32", "[2]", 0, 4))}", data: 4),
            .wrongByteCount(path: "f", tensor: "a", dtype: .f32, shape: [2], expected: 8, found: 4)
        ),
        (
            file("{\(tensor("a", "F32", "[1]", 8, 4))}", data: 8),
            .malformedHeader(path: "f", item: "tensor a: data_offsets", expected: "a start and an end", found: "[8, 4]")
        ),
        (file("{\(tensor("a", "F32", "[2]", 0, 8))}", data: 7), .beyondFile(path: "f", tensor: "a", end: 8, dataByteCount: 7)),
        (
            file("{\(tensor("a", "F32", "[2]", 0, 8)),\(tensor("b", "F32", "[1]", 4, 8))}", data: 8),
            .overlap(path: "f", tensor: "b", offset: 4, end: 8)
        ),
        (file("{\(tensor("a", "F32", "[1]", 0, 4)),\(tensor("b", "F32", "[1]", 8, 12))}", data: 12), .gap(path: "f", start: 4, end: 8)),
        (file("{\(tensor("a", "F32", "[1]", 0, 4))}", data: 5), .gap(path: "f", start: 4, end: 5)),
        (
            file("{\"__metadata__\":{\"a\":1}}"),
            .malformedHeader(path: "f", item: "__metadata__.a", expected: "a string", found: "an integer")
        ),
        (file("{\"a\":1,\"a\":1}"), .headerNotJSON(path: "f", .duplicateKey("a", offset: 7))),
    ] as [([UInt8], SafetensorsError)])
    func refusesHostileFiles(bytes: [UInt8], expected: SafetensorsError) {
        let error = caught(SafetensorsError.self) { _ = try Self.read(bytes) }
        #expect(error == expected)
        #expect(error?.exitCode == .badInput)
        #expect(error?.description.contains("\n") == false)
    }

    @Test func namesFromFilesStayOnOneLine() {
        let bytes = Self.file("{\(Self.tensor("a\\n\\u001b[31m\\u2028b", "F32", "[2]", 0, 4))}", data: 4)
        let error = caught(SafetensorsError.self) { _ = try Self.read(bytes) }
        #expect(error?.description == #"f: tensor a\n\u{1B}[31m\u{2028}b: expected 8 bytes for F32 [2], found 4"#)
    }

    /// Mutated headers and cut files either read, with every range inside the file, or end in a `SafetensorsError`.
    @Test(arguments: 0..<8) func survivesMutations(seed: UInt64) throws {
        var random = SequentialRandom(CounterRandom(seed: seed, name: "safetensors fuzz"))
        var counts = (read: 0, refused: 0)
        let whole = Self.file(
            "{\"__metadata__\":{\"format\":\"pt\"},\(Self.tensor("a", "F32", "[2,3]", 0, 24)),\(Self.tensor("b", "BF16", "[3]", 24, 30)),\(Self.tensor("c", "U8", "[]", 30, 31))}",
            data: 31)
        for _ in 0..<1000 {
            let bytes = Bool.random(using: &random) ? mutated(whole, with: &random) : Self.withMutatedHeader(whole, &random)
            do {
                let header = try Self.read(bytes)
                for entry in header.entries {
                    #expect(entry.range.upperBound <= bytes.count && entry.range.count == entry.info.byteCount)
                }
                counts.read += 1
            } catch is SafetensorsError {
                counts.refused += 1
            }
        }
        #expect(counts.read > 10 && counts.refused > 100)
    }

    /// Changes only the JSON text and keeps the length field right, so that mutations reach beyond the first check.
    private static func withMutatedHeader(_ file: [UInt8], _ random: inout some RandomNumberGenerator) -> [UInt8] {
        let text = mutated(Array(file[8..<file.count - 31]), with: &random)
        return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text + file.suffix(31)
    }
}

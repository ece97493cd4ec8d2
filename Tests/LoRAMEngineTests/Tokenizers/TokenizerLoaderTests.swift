import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Files that are no tokenizer, or one that is not supported, end in one clear line.
@Suite struct TokenizerLoaderTests {
    /// Protocol Buffers field: a length-delimited payload.
    private func field(_ number: UInt8, _ payload: [UInt8]) -> [UInt8] {
        precondition(payload.count < 128)
        return [number << 3 | 2, UInt8(payload.count)] + payload
    }

    private func piece(_ text: String, kind: UInt8) -> [UInt8] {
        field(1, field(1, Array(text.utf8)) + [0x15, 0, 0, 0, 0] + [0x18, kind])
    }

    private let bpe: [UInt8] = [0x12, 0x02, 0x18, 0x02]

    private func error(_ bytes: [UInt8]) -> TokenizerError? {
        #expect(throws: TokenizerError.self) { _ = try SentencePieceTokenizer(bytes: bytes, path: "t.model") }
    }

    @Test func loadsFromADirectory() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: DataFixture.path("llama_like.model"), toPath: directory.path("tokenizer.model"))
        #expect(try TokenizerLoader.load(path: directory.path).vocabularySize == 480)
        // Tokens that were added to a model stand in tokenizer.json alone.
        try FileManager.default.copyItem(atPath: "\(BPEVectorTests.path("llama3"))/tokenizer.json", toPath: directory.path("tokenizer.json"))
        #expect(try TokenizerLoader.load(path: directory.path).vocabularySize == 420)
    }

    @Test func namesWhatIsSupported() throws {
        let directory = try TemporaryDirectory()
        func message(_ path: String) -> String {
            do {
                _ = try TokenizerLoader.load(path: path)
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(message(directory.path("absent")).contains("no tokenizer at"))
        #expect(message(directory.path).contains("a SentencePiece BPE model"))
        try Data("{}".utf8).write(to: URL(fileURLWithPath: directory.path("tokenizer.json")))
        #expect(message(directory.path).contains("expected an object 'model', found none"))
        try FileManager.default.removeItem(atPath: directory.path("tokenizer.json"))
        try Data().write(to: URL(fileURLWithPath: directory.path("tokenizer.model")))
        #expect(message(directory.path).contains("empty file"))
        #expect(message(DataFixture.path("unigram.model")).contains("found type unigram"))
    }

    @Test func refusesUnsupportedSettings() throws {
        let model = try DataFixture.bytes("llama_like.model")
        // A later field of the same message overrides an earlier one.
        #expect(error(model + field(3, field(2, [1, 2, 3])))?.description.contains("normalization map") == true)
        #expect(error(model + field(5, field(2, [1])))?.description.contains("denormalization map") == true)
        #expect(error(model + field(2, [0xc0, 0x01, 0x01]))?.description.contains("treat_whitespace_as_suffix") == true)
        #expect(error(model + field(2, [0x18, 0x04]))?.description.contains("found type char") == true)
        #expect(throws: Never.self) { try SentencePieceTokenizer(bytes: model + field(3, field(2, [])), path: "t.model") }
    }

    @Test func refusesContradictions() throws {
        let unknown = piece("<unk>", kind: 2)
        #expect(throws: Never.self) { try SentencePieceTokenizer(bytes: unknown + bpe, path: "t.model") }
        let cases: [([UInt8], String)] = [
            (bpe, "expected one unknown piece, found none"),
            (unknown + unknown + bpe, "every piece once"),
            (unknown + piece("<u>", kind: 2) + bpe, "found a second one, piece 1"),
            (unknown + piece("a", kind: 1) + piece("a", kind: 4) + bpe, "found \"a\" again as piece 2"),
            (unknown + piece("", kind: 1) + bpe, "found an empty one"),
            (unknown + field(1, field(1, [0xff])) + bpe, "expected a piece of UTF-8 text"),
            (unknown + piece("a", kind: 9) + bpe, "expected a piece type from 1 to 6, found 9"),
            (unknown + field(1, field(1, [97]) + [0x15, 0, 0, 0xc0, 0x7f]) + bpe, "expected a finite score"),
            (unknown + field(1, field(1, [97]) + [0x10, 0]) + bpe, "expected a 32-bit score in field 2, found a varint"),
            (unknown + piece("<0x41>", kind: 6) + bpe, "expected no byte pieces"),
            (unknown + bpe + field(2, [0x98, 0x02, 0x01]), "expected 256 byte pieces"),
            (unknown + piece("<0x4g>", kind: 6) + bpe + field(2, [0x98, 0x02, 0x01]), "expected byte pieces <0x00> ... <0xFF>"),
            (unknown + bpe + [0x0a, 0x7f], "expected a length of at most 0 bytes, found 127"),
            (unknown + bpe + [0x03], "expected a field number in 1 ..< 2^29, found 0"),
            (unknown + bpe + [0x7b], "expected wire type 0, 1, 2 or 5, found 3"),
            (unknown + bpe + [0x78, 0xff], "expected a whole varint"),
            (unknown + bpe + [0x78] + [UInt8](repeating: 0xff, count: 11), "expected a varint of 64 bits"),
            (unknown + bpe + [0x7d, 1], "expected 4 more bytes, found 1"),
            ([0x08, 0x01] + unknown + bpe, "expected a length-delimited value in field 1, found a varint"),
        ]
        for (bytes, expected) in cases {
            let description = error(bytes)?.description ?? ""
            #expect(description.contains(expected), "\(description)")
            #expect(!description.contains("\n"))
        }
    }

    /// Unknown fields of every wire type are skipped.
    @Test func skipsUnknownFields() throws {
        let extra: [UInt8] = [0x78, 0x05, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 2, 9, 9]
        let model = try DataFixture.bytes("llama_like.model")
        let tokenizer = try SentencePieceTokenizer(bytes: extra + model + extra, path: "t.model")
        #expect(tokenizer.encode("Ada finds", special: false) == (try DataFixture.tokenizer("llama_like")).encode("Ada finds", special: false))
    }

    /// Damaged models are refused or give some ids: they never trap.
    @Test(arguments: ["llama_like", "symbols"]) func survivesDamage(name: String) throws {
        let original = try DataFixture.bytes("\(name).model")
        var generator = LinearCongruentialGenerator(seed: 21)
        var refused = 0
        var accepted = 0
        for round in 0..<1500 {
            var bytes = original
            switch round % 3 {
            case 0: bytes.removeSubrange(generator.below(bytes.count)...)
            case 1:
                for _ in 0...generator.below(3) { bytes[generator.below(bytes.count)] = UInt8(generator.below(256)) }
            default:
                let start = generator.below(bytes.count)
                let end = min(bytes.count, start + generator.below(64))
                let target = generator.below(bytes.count)
                bytes.insert(contentsOf: original[start..<end], at: target)
            }
            do {
                let tokenizer = try SentencePieceTokenizer(bytes: bytes, path: "t.model")
                let ids = tokenizer.encode("Ada <s> finds the 🦙 keys\u{2581} q \n<sep>", special: true)
                #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
                _ = tokenizer.decode(ids)
                accepted += 1
            } catch is TokenizerError {
                refused += 1
            }
        }
        #expect(refused > 100)
        #expect(accepted > 50)
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// What the data layer relies on beyond the ids themselves, and what hostile files do.
@Suite struct BPETokenizerTests {
    static let names = BPEVectorTests.names + ["tiktoken"]

    @Test(arguments: names, [true, false]) func encodesInPieces(name: String, special: Bool) throws {
        let tokenizer = try TokenizerLoader.load(path: BPEVectorTests.path(name))
        var generator = LinearCongruentialGenerator(seed: 3)
        var cutCount = 0
        for _ in 0..<150 {
            let text = SentencePieceTokenizerTests.randomDocument(&generator)
            var ids: [Int32] = []
            Array(text.utf8).withUnsafeBufferPointer { bytes in
                var position = 0
                while position < bytes.count {
                    let rest = UnsafeBufferPointer(rebasing: bytes[position...])
                    let count = tokenizer.splitPosition(in: rest, from: 1 + generator.below(60)) ?? rest.count
                    let piece = UnsafeBufferPointer(rebasing: rest[..<count])
                    tokenizer.encode(utf8: piece, special: special, isContinuation: position > 0, into: &ids)
                    cutCount += position > 0 ? 1 : 0
                    position += count
                }
            }
            #expect(ids == tokenizer.encode(text, special: special), "\(text.debugDescription)")
        }
        // One has tokens that look at their surroundings, one merges across spaces: they offer no cuts.
        #expect(["gpt2", "metaspace"].contains(name) ? cutCount == 0 : cutCount > 200)
    }

    @Test(arguments: names) func boundsTheTokenCount(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: BPEVectorTests.path(name))
        var generator = LinearCongruentialGenerator(seed: 5)
        for _ in 0..<500 {
            let text = generator.below(2) == 0 ? randomText(&generator) : SentencePieceTokenizerTests.randomDocument(&generator)
            for special in [true, false] {
                #expect(tokenizer.encode(text, special: special).count <= tokenizer.maximumTokenCount(utf8Count: text.utf8.count))
            }
        }
    }

    /// Merging must not be quadratic in a word.
    @Test(arguments: ["llama3", "llama2"]) func encodesAWordOfAMegabyte(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: BPEVectorTests.path(name))
        let text = String(repeating: "lanternlibraryapples", count: 50_000)
        let ids = tokenizer.encode(text, special: false)
        #expect(tokenizer.decode(ids) == text)
        #expect(ids.count < text.utf8.count / 2)
    }

    @Test(arguments: names) func illFormedBytesNeverTrap(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: BPEVectorTests.path(name))
        var generator = LinearCongruentialGenerator(seed: 8)
        for _ in 0..<300 {
            let bytes = (0..<generator.below(50)).map { _ in UInt8(generator.below(256)) }
            var ids: [Int32] = []
            bytes.withUnsafeBufferPointer { tokenizer.encode(utf8: $0, special: true, isContinuation: false, into: &ids) }
            #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
        }
        #expect(tokenizer.decode([-1, .max]) == "\u{fffd}\u{fffd}")
    }

    // MARK: - Files

    private func message(_ text: String, name: String = "tokenizer.json") throws -> String {
        let directory = try TemporaryDirectory()
        try Data(text.utf8).write(to: URL(fileURLWithPath: directory.path(name)))
        do {
            _ = try TokenizerLoader.load(path: directory.path)
            return ""
        } catch let error as TokenizerError {
            #expect(!error.description.contains("\n"))
            return error.description
        }
    }

    private func json(_ parts: String = "", model: String = "") -> String {
        #"{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]\#(model)}\#(parts)}"#
    }

    @Test func namesWhatIsUnsupportedOrDamaged() throws {
        #expect(try message(json()) == "")
        let cases: [(String, String)] = [
            (#"{"model":{"type":"Unigram","vocab":[]}}"#, "expected a BPE model, found the model type 'Unigram'"),
            (#"{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}"#, "every id once in the vocabulary"),
            (#"{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}"#, "an id in 0 ..<"),
            (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}"#, "both tokens of merge 0"),
            (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b c"]}}"#, "two tokens in merge 0"),
            (#"{"model":{"type":"BPE","vocab":{},"merges":[]}}"#, "tokens and merges"),
            (json(model: #","unk_token":"x""#), "the unknown token in the vocabulary"),
            (json(model: #","end_of_word_suffix":"</w>""#), "no 'end_of_word_suffix'"),
            (json(model: #","dropout":0.1"#), "no dropout"),
            (json(#","normalizer":{"type":"BertNormalizer"}"#), "found 'BertNormalizer'"),
            (json(#","normalizer":{"type":"Replace","pattern":{"Regex":"x"},"content":""}"#), "a string as pattern"),
            (json(#","pre_tokenizer":{"type":"BertPreTokenizer"}"#), "found 'BertPreTokenizer'"),
            (json(#","pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+"},"behavior":"Isolated"}"#), "a repeated group"),
            (json(#","pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{Han}"},"behavior":"Isolated"}"#), "the property 'Han'"),
            (json(#","pre_tokenizer":{"type":"Split","pattern":{"Regex":"(?<=a)b"},"behavior":"Isolated"}"#), "(?<=a)b"),
            (json(#","pre_tokenizer":{"type":"Split","pattern":{"Regex":"a"},"behavior":"Other"}"#), "found 'Other'"),
            (json(#","decoder":{"type":"WordPiece"}"#), "found 'WordPiece'"),
            (json(#","post_processor":{"type":"Other"}"#), "found 'Other'"),
            (json(#","added_tokens":[{"id":7,"content":3}]"#), "a string in 'content'"),
            ("{", "invalid JSON"),
        ]
        for (text, expected) in cases {
            let description = try message(text)
            #expect(description.contains(expected), "\(description)")
        }
        #expect(try message("IQ== 0\nIg== 2\n", name: "tokenizer.model").contains("expected rank 1, found \"2\""))
        #expect(try message("IQ== 0\nIQ== 1\n", name: "tokenizer.model").contains("every token once"))
        #expect(try message("IQ== 0\n!!\n", name: "tokenizer.model").contains("a token in base64 and its rank"))
    }

    /// Damaged files are refused or give some ids: they never trap.
    @Test(arguments: ["llama3/tokenizer.json", "pieces/tokenizer.json", "gpt2/tokenizer.json", "tiktoken/tokenizer.model"])
    func survivesDamage(name: String) throws {
        let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: BPEVectorTests.path(name))))
        let directory = try TemporaryDirectory()
        let path = directory.path("damaged-\(name.split(separator: "/")[1])")
        var generator = LinearCongruentialGenerator(seed: 21)
        var refused = 0
        for round in 0..<250 {
            var bytes = original
            switch round % 3 {
            case 0: bytes.removeSubrange(generator.below(bytes.count)...)
            case 1: for _ in 0...generator.below(3) { bytes[generator.below(bytes.count)] = UInt8(0x20 + generator.below(95)) }
            default:
                let start = generator.below(bytes.count)
                bytes.insert(contentsOf: original[start..<min(bytes.count, start + generator.below(64))], at: generator.below(bytes.count))
            }
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            do {
                let tokenizer = try TokenizerLoader.load(path: path)
                let ids = tokenizer.encode("Ada <s> finds the 🦙 keys\u{2581} q \n<|end|> 12.5", special: true)
                #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
                _ = tokenizer.decode(ids)
            } catch is TokenizerError {
                refused += 1
            }
        }
        #expect(refused > 50)
    }
}

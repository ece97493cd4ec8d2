import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// What the data layer relies on beyond the ids themselves.
@Suite struct SentencePieceTokenizerTests {
    static let models = ["llama_like", "symbols", "phrases"]

    /// Random words with all that a cut could get wrong: runs of spaces, U+2581, special strings.
    static func randomDocument(_ generator: inout LinearCongruentialGenerator) -> String {
        let parts = ["Ada", " ", "  ", "lantern", "\u{2581}", "</s>", "<s>", "é", "\n", ".", "日本", "the old ", ">", " a"]
        return (0..<generator.below(200)).map { _ in parts[generator.below(parts.count)] }.joined()
    }

    @Test(arguments: [true, false]) func encodesInPieces(special: Bool) throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        var generator = LinearCongruentialGenerator(seed: 3)
        var cutCount = 0
        for _ in 0..<400 {
            let text = Self.randomDocument(&generator)
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
        #expect(cutCount > 1000)
    }

    @Test(arguments: ["symbols", "phrases"]) func offersNoCutWherePiecesMaySpanIt(name: String) throws {
        let tokenizer = try DataFixture.tokenizer(name)
        Array("Ada finds a lantern by the river".utf8).withUnsafeBufferPointer {
            #expect(tokenizer.splitPosition(in: $0, from: 1) == nil)
        }
    }

    @Test(arguments: models) func boundsTheTokenCount(name: String) throws {
        let tokenizer = try DataFixture.tokenizer(name)
        var generator = LinearCongruentialGenerator(seed: 5)
        for _ in 0..<1000 {
            let text = generator.below(2) == 0 ? randomText(&generator) : Self.randomDocument(&generator)
            for special in [true, false] {
                #expect(tokenizer.encode(text, special: special).count <= tokenizer.maximumTokenCount(utf8Count: text.utf8.count))
            }
        }
    }

    @Test func givesTheSameIDsOnManyThreads() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        let texts = (0..<64).map { seed in
            var generator = LinearCongruentialGenerator(seed: UInt64(seed))
            return Self.randomDocument(&generator)
        }
        let expected = texts.map { tokenizer.encode($0, special: true) }
        DispatchQueue.concurrentPerform(iterations: 512) { index in
            let text = texts[index % texts.count]
            #expect(tokenizer.encode(text, special: true) == expected[index % texts.count])
        }
    }

    /// One word, far longer than any cache entry: merging must not be quadratic in it.
    @Test func encodesAWordOfAMegabyte() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        let text = String(repeating: "lanternlibraryapples", count: 50_000)
        let ids = tokenizer.encode(text, special: false)
        #expect(tokenizer.decode(ids) == text)
        // Whole pieces came of it, not characters.
        #expect(ids.count < text.utf8.count / 2)
    }

    @Test func illFormedBytesNeverTrap() throws {
        let tokenizer = try DataFixture.tokenizer("symbols")
        var generator = LinearCongruentialGenerator(seed: 8)
        for _ in 0..<500 {
            let bytes = (0..<generator.below(50)).map { _ in UInt8(generator.below(256)) }
            var ids: [Int32] = []
            bytes.withUnsafeBufferPointer { tokenizer.encode(utf8: $0, special: true, isContinuation: false, into: &ids) }
            #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
        }
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Ids and texts equal to those of the reference implementation.
@Suite struct SentencePieceVectorTests {
    static let models = ["llama_like", "symbols", "phrases"]

    @Test(arguments: models) func encodesLikeReference(name: String) throws {
        let tokenizer = try DataFixture.tokenizer(name)
        let vectors = try DataFixture.json("\(name).json")
        #expect(tokenizer.vocabularySize == vectors["vocabulary"]?.intValue)
        for vector in vectors["texts"]!.arrayValue! {
            let text = vector["text"]!.stringValue!
            #expect(tokenizer.encode(text, special: false) == vector["ids"]!.ids, "\(text.debugDescription)")
        }
    }

    @Test(arguments: models) func recognizesSpecialStrings(name: String) throws {
        let tokenizer = try DataFixture.tokenizer(name)
        for vector in try DataFixture.json("\(name).json")["special"]!.arrayValue! {
            let text = vector["text"]!.stringValue!
            #expect(tokenizer.encode(text, special: true) == vector["ids"]!.ids, "\(text.debugDescription)")
        }
    }

    @Test(arguments: models) func decodesLikeReference(name: String) throws {
        let tokenizer = try DataFixture.tokenizer(name)
        let vectors = try DataFixture.json("\(name).json")
        for vector in vectors["texts"]!.arrayValue! {
            // Scalars, since String compares canonically equivalent texts as equal.
            #expect(Array(tokenizer.decode(vector["ids"]!.ids).utf8) == Array(vector["decoded"]!.stringValue!.utf8))
        }
        for vector in vectors["decodings"]!.arrayValue! {
            #expect(Array(tokenizer.decode(vector["ids"]!.ids).utf8) == Array(vector["text"]!.stringValue!.utf8), "\(vector["ids"]!.ids)")
        }
    }

    @Test(arguments: models) func encodesRandomUnicodeLikeReference(name: String) throws {
        let random = try DataFixture.json("\(name).json")["random"]!
        try checkRandomTexts(DataFixture.tokenizer(name), random)
    }

    @Test func knowsBeginAndEnd() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        #expect(tokenizer.bosTokenID == 1)
        #expect(tokenizer.eosTokenID == 2)
    }

    @Test func decodesIDsOutsideTheVocabularyToReplacementCharacters() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        let word = tokenizer.encode("Ada", special: false)
        #expect(tokenizer.decode(word + [-1, Int32(tokenizer.vocabularySize), .max] + word) == "Ada\u{fffd}\u{fffd}\u{fffd} Ada")
    }

    // MARK: - Real tokenizers

    static let llama2 = "tokenizers/llama-2/tokenizer.model"
    static let shared = [llama2, "models/stories260K/tokenizer.model"]

    @Test(.enabled(if: SharedData.path(llama2) != nil, "shared data are absent"))
    func matchesVectorsOfLlama2() throws {
        let tokenizer = try TokenizerLoader.load(path: SharedData.path(Self.llama2)!)
        let text = try String(contentsOfFile: SharedData.path("tokenizers/vectors/llama-2.jsonl")!, encoding: .utf8)
        let vectors = try text.split(separator: "\n").map { try JSONValue.parse(String($0)) }
        #expect(vectors.count == 47)
        for vector in vectors {
            let text = vector["text"]!.stringValue!
            #expect(tokenizer.encode(text, special: true) == vector["ids"]!.ids, "\(text.debugDescription)")
        }
    }

    @Test(.enabled(if: SharedData.path("text") != nil, "shared data are absent"), arguments: shared)
    func encodesRealTextLikeReference(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: SharedData.path(name)!)
        for member in try DataFixture.json("shared_hashes.json")[name]!["texts"]!.objectMembers! {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: SharedData.path("text/\(member.key)")!)))
            var hash = IDHash()
            var count = 0
            for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
                var ids: [Int32] = []
                line.withUnsafeBufferPointer { tokenizer.encode(utf8: $0, special: false, isContinuation: false, into: &ids) }
                count += ids.count
                hash.append(ids)
            }
            #expect(count == member.value["tokens"]!.intValue)
            #expect(hash.hex == member.value["hash"]!.stringValue, "\(member.key)")
        }
    }

    @Test(.enabled(if: SharedData.path("tokenizers") != nil, "shared data are absent"), arguments: shared)
    func encodesRandomUnicodeLikeReferenceWithRealModels(name: String) throws {
        let random = try DataFixture.json("shared_hashes.json")[name]!["random"]!
        try checkRandomTexts(TokenizerLoader.load(path: SharedData.path(name)!), random)
    }

    /// Hashes of the ids of 100 texts each.
    private func checkRandomTexts(_ tokenizer: any Tokenizer, _ random: JSONValue) throws {
        var generator = LinearCongruentialGenerator(seed: UInt64(random["seed"]!.intValue!))
        for (group, expected) in random["hashes"]!.arrayValue!.enumerated() {
            var hash = IDHash()
            for _ in 0..<100 { hash.append(tokenizer.encode(randomText(&generator), special: false)) }
            #expect(hash.hex == expected.stringValue, "texts \(100 * group) ..< \(100 * group + 100)")
        }
    }
}

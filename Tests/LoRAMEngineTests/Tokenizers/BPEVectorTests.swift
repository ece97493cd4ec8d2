import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Ids and texts equal to those of Hugging Face tokenizers and tiktoken (Tests/fixtures-src/make_tokenizers.py).
@Suite struct BPEVectorTests {
    static let names = ["llama3", "qwen", "gpt2", "o200k", "llama2", "metaspace", "pieces"]

    static func path(_ name: String) -> String {
        Bundle.module.resourceURL!.appendingPathComponent("Fixtures/tokenizers/\(name)").path
    }

    static func vectors(_ name: String) throws -> JSONValue { try JSONValue.parse(contentsOf: "\(path(name))/vectors.json") }

    @Test(arguments: names) func encodesLikeReference(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: Self.path(name))
        let vectors = try Self.vectors(name)
        #expect(tokenizer.vocabularySize == vectors["vocabulary"]?.intValue)
        for vector in vectors["texts"]!.arrayValue! {
            let text = vector["text"]!.stringValue!
            #expect(tokenizer.encode(text, special: true) == vector["ids"]!.ids, "\(text.debugDescription)")
            #expect(tokenizer.encode(text, special: false) == vector["plain"]!.ids, "\(text.debugDescription)")
        }
    }

    @Test(arguments: names) func framesLikePostProcessor(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: Self.path(name))
        let framed = try Self.vectors(name)["texts"]!.arrayValue!.first { $0["text"] == "Hello" }!["framed"]!.ids
        let begin = tokenizer.bosTokenID.map { [$0] } ?? []
        let end = tokenizer.appendsEOS ? [tokenizer.eosTokenID!] : []
        #expect(begin + tokenizer.encode("Hello", special: true) + end == framed)
    }

    @Test(arguments: names) func decodesLikeReference(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: Self.path(name))
        let vectors = try Self.vectors(name)
        for vector in vectors["texts"]!.arrayValue! {
            #expect(Array(tokenizer.decode(vector["ids"]!.ids).utf8) == Array(vector["decoded"]!.stringValue!.utf8), "\(vector["text"]!)")
        }
        for vector in vectors["decodings"]!.arrayValue! {
            #expect(Array(tokenizer.decode(vector["ids"]!.ids).utf8) == Array(vector["text"]!.stringValue!.utf8), "\(vector["ids"]!.ids)")
        }
    }

    @Test(arguments: names) func encodes10000RandomTextsLikeReference(name: String) throws {
        try checkRandomTexts(TokenizerLoader.load(path: Self.path(name)), Self.vectors(name)["random"]!, special: true)
    }

    @Test func readsTiktokenFiles() throws {
        let tokenizer = try TokenizerLoader.load(path: Self.path("tiktoken"))
        let vectors = try Self.vectors("tiktoken")
        for vector in vectors["texts"]!.arrayValue! {
            let text = vector["text"]!.stringValue!
            #expect(tokenizer.encode(text, special: false) == vector["ids"]!.ids, "\(text.debugDescription)")
        }
        try checkRandomTexts(tokenizer, vectors["random"]!, special: false)
    }

    // MARK: - Real tokenizers

    static let llama3 = "tokenizers/llama-3/tokenizer.model"

    @Test(.enabled(if: SharedData.path(llama3) != nil, "shared data are absent"))
    func matchesVectorsOfLlama3() throws {
        let tokenizer = try TokenizerLoader.load(path: SharedData.path(Self.llama3)!)
        let text = try String(contentsOfFile: SharedData.path("tokenizers/vectors/llama-3.jsonl")!, encoding: .utf8)
        let vectors = try text.split(separator: "\n").map { try JSONValue.parse(String($0)) }
        #expect(vectors.count == 47)
        for vector in vectors {
            let text = vector["text"]!.stringValue!
            #expect(tokenizer.encode(text, special: false) == vector["ids"]!.ids, "\(text.debugDescription)")
        }
        let special = [128_000, 128_006, 128_007, 128_009, 128_008, 128_001] as [Int32]
        let spelt = "<|begin_of_text|><|start_header_id|><|end_header_id|><|eot_id|><|eom_id|><|end_of_text|>"
        #expect(tokenizer.encode(spelt, special: true) == special)
        #expect(tokenizer.bosTokenID == 128_000 && tokenizer.vocabularySize == 128_256)
    }

    @Test(.enabled(if: SharedData.path("text") != nil, "shared data are absent"))
    func encodesRealTextLikeTiktoken() throws {
        let tokenizer = try TokenizerLoader.load(path: SharedData.path(Self.llama3)!)
        let shared = try Self.vectors("tiktoken")["shared"]!
        try checkRandomTexts(tokenizer, shared["random"]!, special: false)
        for member in shared["texts"]!.objectMembers! {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: SharedData.path("text/\(member.key)")!)))
            var ids: [Int32] = []
            bytes.withUnsafeBufferPointer { tokenizer.encode(utf8: $0, special: false, isContinuation: false, into: &ids) }
            var hash = IDHash()
            hash.append(ids)
            #expect(ids.count == member.value["tokens"]!.intValue)
            #expect(hash.hex == member.value["hash"]!.stringValue, "\(member.key)")
        }
    }

    private func checkRandomTexts(_ tokenizer: any Tokenizer, _ random: JSONValue, special: Bool) throws {
        var generator = LinearCongruentialGenerator(seed: UInt64(random["seed"]!.intValue!))
        for (group, expected) in random["hashes"]!.arrayValue!.enumerated() {
            var hash = IDHash()
            for _ in 0..<100 { hash.append(tokenizer.encode(randomText(&generator), special: special)) }
            #expect(hash.hex == expected.stringValue, "texts \(100 * group) ..< \(100 * group + 100)")
        }
    }
}

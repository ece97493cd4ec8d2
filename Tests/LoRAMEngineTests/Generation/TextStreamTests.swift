import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Text in pieces beside the text of all tokens at once.
@Suite struct TextStreamTests {
    static let tokenizers = ["llama2", "llama3", "gpt2", "pieces", "metaspace", "tiktoken", "qwen", "o200k"].map { "tokenizers/\($0)" } + ["data/llama_like.model"]

    private func load(_ name: String) throws -> any Tokenizer {
        try TokenizerLoader.load(path: try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/\(name)").path)
    }

    private func pieces(_ tokenizer: any Tokenizer, prompt: [Int32], _ ids: [Int32]) -> [[UInt8]] {
        var stream = TextStream(tokenizer: tokenizer, prompt: prompt)
        return ids.map { stream.append($0) } + [stream.finish()]
    }

    @Test(arguments: tokenizers) func piecesMakeTheText(_ name: String) throws {
        let tokenizer = try load(name)
        var random = LinearCongruentialGenerator(seed: 21)
        for text in ["The lantern is blue.  Two spaces, é, 日本語 and 👩‍👩‍👧 too.\n\n\tEnd ", " leading", ""] + (0..<40).map({ _ in randomText(&random) }) {
            let ids = tokenizer.encode(text, special: false)
            for cut in Set([0, 1, ids.count / 2, ids.count]) where cut <= ids.count {
                let prompt = Array(ids[..<cut]), whole = Array(tokenizer.decode(ids).utf8), before = Array(tokenizer.decode(prompt).utf8)
                // Where the prompt ends within a character, its text is no beginning of the whole.
                guard whole.starts(with: before), !before.suffix(3).elementsEqual("\u{fffd}".utf8) else { continue }
                let found = pieces(tokenizer, prompt: prompt, Array(ids[cut...]))
                #expect(String(decoding: found.joined(), as: UTF8.self) == String(decoding: whole[before.count...], as: UTF8.self))
                for piece in found { #expect(String(validating: piece, as: UTF8.self) != nil, "a piece ends within a character") }
            }
        }
    }

    /// Bytes that never become a character are not waited for without end.
    @Test func brokenBytesComeOut() throws {
        let tokenizer = ByteTokenizer(), byte = Int32(0xe3 + 3)
        let found = pieces(tokenizer, prompt: [1], Array(repeating: byte, count: 30))
        #expect(found.dropLast().contains { !$0.isEmpty })
        #expect(String(decoding: found.joined(), as: UTF8.self).allSatisfy { $0 == "\u{fffd}" })
    }

    /// What comes out piece by piece, and a mark where a stop string was found.
    private func stops(_ strings: [String], _ pieces: [String]) -> String {
        var stops = StopStrings(strings), texts: [String] = []
        for piece in pieces where !stops.isStopped { texts.append(String(decoding: stops.append(Array(piece.utf8)), as: UTF8.self)) }
        texts.append(String(decoding: stops.finish(), as: UTF8.self))
        return texts.joined(separator: "|") + (stops.isStopped ? "!" : "")
    }

    @Test func stopStringsAcrossTokens() {
        #expect(stops(["Q:"], ["A text. ", "Q", ": more"]) == "A text. |||!")
        // What may become a stop string waits, and comes when it does not.
        #expect(stops(["\n\n\n"], ["a\n", "\n", "b"]) == "a||\n\nb|")
        #expect(stops(["\nclass", "\ndef"], ["x\n", "de", "g"]) == "x||\ndeg|")
        #expect(stops(["stop"], ["no st", "o"]) == "no ||sto")
        // The one that begins first counts.
        #expect(stops(["bc", "abcd"], ["xab", "cd"]) == "x||!")
        #expect(stops(["aab"], ["aa", "ab", "c"]) == "|a|!")
        #expect(stops([], ["all", " of it"]) == "all| of it|")
    }

    /// Tokens of one byte: a stop string of several tokens, some of them within a character.
    @Test func completionsEnd() throws {
        let tokenizer = ByteTokenizer()
        func complete(_ text: String, _ more: [Int32] = [], stops: [String] = [], max: Int = 100) -> (Completion, [String]) {
            var progress = CompletionProgress(
                prompt: [1], settings: GenerationSettings(maxTokens: max, stopStrings: stops), stopTokenIDs: [2], tokenizer: tokenizer)
            var pieces: [String] = []
            for id in tokenizer.encode(text, special: false) + more where progress.end == nil { pieces.append(progress.append(id)) }
            return (progress.completion(prompt: 3, sample: 1)!, pieces)
        }
        let (stopped, pieces) = complete("né Q: x", stops: ["Q:"])
        #expect(stopped.text == "né " && stopped.end == .stopString && stopped.prompt == 3 && stopped.sample == 1)
        #expect(tokenizer.decode(stopped.tokenIDs) == "né Q:" && pieces.joined() == "né ")
        #expect(complete("abc", [2], stops: ["cd"]).0 == Completion(prompt: 3, sample: 1, tokenIDs: tokenizer.encode("abc", special: false), text: "abc", end: .stopToken))
        let (cut, _) = complete("日本", max: 4)
        #expect(cut.end == .maxTokens && cut.tokenIDs.count == 4 && cut.text == "日\u{fffd}")
        // The last token completes the stop string.
        #expect(complete("xQ:", stops: ["Q:"], max: 3).0.end == .stopString)
        let json = stopped.json
        #expect(Completion(json: json) == stopped && json["end"] == "stop")
    }
}

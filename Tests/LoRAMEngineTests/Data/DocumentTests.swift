import Foundation
import TestSupport
import Testing

import LoRAMEngine

/// Documents longer than a block, read from the middle, equal the document encoded at once.
@Suite struct DocumentTests {
    private func longText(_ seed: UInt64, _ minimumBytes: Int) -> String {
        var generator = LinearCongruentialGenerator(seed: seed)
        let words = ["Ada", "finds", "a", "lantern", "  behind", "the", "library.\n", "</s>", "日本", "x=1;", "<s>"]
        var text = ""
        while text.utf8.count < minimumBytes { text += words[generator.below(words.count)] + " " }
        return text
    }

    @Test func windowsOfALongFileEqualTheWhole() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        let directory = try TemporaryDirectory()
        let text = longText(4, 60_000)
        let path = try directory.write(text, "long.txt")
        let ids = [1] + tokenizer.encode(text, special: true) + [2]
        for packing in [false, true] {
            let data = try TrainingData(path, length: 100, packing: packing, tokenizer: tokenizer, vocabularySize: 480)
            #expect(data.samplesPerEpoch == (ids.count + 99) / 100)
            #expect(try data.epoch().flatMap(\.segments).flatMap { $0 } == ids)
        }
        let evaluation = try EvaluationData(
            configuration: .init(path: path, length: 64), tokenizer: tokenizer, vocabularySize: 480, bosTokenID: 1)
        let windows = try (0..<evaluation.windowCount).map { try evaluation.microBatch($0, size: 1) }
        #expect(windows.flatMap { $0.tokenIDs.dropFirst() } == Array(ids.dropFirst().dropLast()))
        // Every token is scored once.
        #expect(windows.reduce(0) { $0 + $1.targetCount } == ids.count - 2)
    }

    /// JSON documents of many lengths, packed: the windows are the stream of all documents.
    @Test func packedJSONDocumentsEqualTheStream() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        let directory = try TemporaryDirectory()
        let texts = (0..<20).map { longText(UInt64($0), $0 % 4 == 0 ? 9000 : 200) }
        let lines = texts.map { JSONValue.object([JSONMember("text", .string($0))]).serialized() }
        let path = try directory.write(lines.joined(separator: "\n"), "t.jsonl")
        let data = try TrainingData(path, length: 333, packing: true, tokenizer: tokenizer, vocabularySize: 480)
        let stream = texts.flatMap { text in
            let ids = tokenizer.encode(text, special: true)
            return (ids.first == 1 ? [] : [1]) + ids + (ids.last == 2 ? [] : [2])
        }
        let samples = try data.epoch()
        #expect(samples.flatMap(\.segments).flatMap { $0 } == stream)
        #expect(samples.dropLast().allSatisfy { $0.labels.count == 333 })
        // Within a segment each token but the first is predicted, across segments none.
        for sample in samples { #expect(sample.labels == sample.segments.flatMap { $0.dropFirst() + [-100] }) }
        #expect(data.statistics.tokens == stream.count)
    }

    @Test func everyRangeOfADocumentEqualsThePartOfTheWhole() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        let directory = try TemporaryDirectory()
        for (number, edges) in [("", ""), ("<s>", ""), ("", "</s>"), ("<s>", "</s>")].enumerated() {
            let text = edges.0 + longText(40 + UInt64(number), 13_000).replacingOccurrences(of: "<s>", with: "s") + edges.1
            let file = try DatasetFile(path: directory.write(text, "d\(number).txt"), format: .plain)
            let body = tokenizer.encode(text, special: true)
            for adds in [true, false] {
                let frame = SequenceFrame(bos: 1, eos: 2, addsBOS: adds, addsEOS: adds)
                var items = DocumentItems(
                    file: file, encoder: DocumentEncoder(tokenizer: tokenizer, frame: frame, vocabularySize: 480))
                var whole = TokenSequence()
                try items.load(0, range: 0..<Int.max, into: &whole)
                let stripped = body.first == 1 ? Array(body.dropFirst()) : body
                #expect(whole.ids == (adds ? [1] + stripped + (body.last == 2 ? [] : [2]) : stripped))
                try items.buildIndex()
                #expect(items.tokenStarts == [0, whole.count])
                var generator = LinearCongruentialGenerator(seed: 6)
                var part = TokenSequence()
                for round in 0..<300 {
                    let start = round < 4 ? round : generator.below(whole.count + 3)
                    let end = round % 3 == 0 ? whole.count + 1 : start + generator.below(700)
                    try items.load(0, range: min(start, end)..<max(start, end), into: &part)
                    let range = (min(start, end)..<max(start, end)).clamped(to: 0..<whole.count)
                    #expect(part.ids == Array(whole.ids[range]), "\(range)")
                    #expect(part.labels == part.ids)
                }
            }
        }
    }

    @Test func textOfARealFileIsWholeWhenPacked() throws {
        let directory = try TemporaryDirectory()
        let text = longText(77, 5000).replacingOccurrences(of: "\n", with: " ")
        let path = try directory.write("\u{feff}" + text + "<|endoftext|>" + text, "t.txt")
        let data = try TrainingData(path, length: 50, packing: true)
        let documents = try data.epoch().flatMap(\.segments).flatMap { $0 }.split(separator: 2)
        #expect(documents.map { ByteTokenizer().decode(Array($0)) } == [text, text])
    }

    /// The prompt ends and the answer starts within one token: that token belongs to the answer.
    @Test func aTokenAcrossTheBoundaryIsPredicted() throws {
        let tokenizer = try DataFixture.tokenizer("llama_like")
        let directory = try TemporaryDirectory()
        let path = try directory.write("{\"instruction\": \"Ada fi\", \"output\": \"nds\"}", "t.jsonl")
        let data = try TrainingData(path, template: .none, length: 64, tokenizer: tokenizer, vocabularySize: 480)
        let sample = try data.epoch()[0]
        let ids = tokenizer.encode("Ada finds", special: false)
        #expect(sample.segments == [[1] + ids + [2]])
        let finds = tokenizer.encode("finds", special: false)
        #expect(finds.count == 1)
        #expect(sample.labels == sample.labels.dropLast(3).map { _ in -100 } + finds + [2, -100])
    }

    @Test func templateWording() {
        #expect(
            PromptTemplate.alpaca.prompt(instruction: "I", input: "") == "Below is an instruction that describes a task. "
                + "Write a response that appropriately completes the request.\n\n### Instruction:\nI\n\n### Response:\n")
        #expect(
            PromptTemplate.alpaca.prompt(instruction: "I", input: "J") == "Below is an instruction that describes a task, paired with "
                + "an input that provides further context. Write a response that appropriately completes the request.\n\n"
                + "### Instruction:\nI\n\n### Input:\nJ\n\n### Response:\n")
        #expect(PromptTemplate.none.prompt(instruction: "I", input: "J") == "I\nJ")
    }
}

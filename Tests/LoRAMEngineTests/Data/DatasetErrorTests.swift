import Foundation
import TestSupport
import Testing

import LoRAMEngine

/// Bad datasets end in one line that names file and line.
@Suite struct DatasetErrorTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// What opening the dataset says.
    private func message(
        _ path: String, format: DatasetFormat? = nil, length: Int = 16, packing: Bool = false,
        tokenizer: (any Tokenizer)? = ByteTokenizer(), vocabularySize: Int = 300
    ) -> String {
        do {
            _ = try TrainingData(
                path, format: format, length: length, packing: packing, tokenizer: tokenizer, vocabularySize: vocabularySize)
            return "none"
        } catch let error as DatasetError {
            #expect(error.exitCode == .badInput)
            #expect(!error.description.contains { $0.isNewline })
            return error.description
        } catch {
            return "another error: \(error)"
        }
    }

    private func expectMessage(
        _ text: String, _ expected: String, name: String = "t.jsonl", format: DatasetFormat? = nil, length: Int = 16,
        vocabularySize: Int = 300, location: SourceLocation = #_sourceLocation
    ) throws {
        let path = try directory.write(text, name)
        for packing in [false, true] {
            let found = message(path, format: format, length: length, packing: packing, vocabularySize: vocabularySize)
            #expect(found.contains(expected), sourceLocation: location)
            #expect(found.contains(name), sourceLocation: location)
        }
    }

    @Test func files() throws {
        #expect(message(directory.path("absent.jsonl")).contains("cannot read the dataset"))
        #expect(message(directory.path).contains("found a directory"))
        try expectMessage("", "empty dataset")
        try expectMessage("\n \n\t\n", "empty dataset")
        try expectMessage("[]", "empty dataset", name: "t.json")
        try expectMessage("", "empty dataset", name: "t.txt")
        try expectMessage("\n<|endoftext|>\n", "empty dataset", name: "t.txt")
        #expect(try message(directory.write([0x1f, 0x8b, 8, 0], "t.jsonl.gz")).contains("expected the end of a gzip stream"))
        #expect(try message(directory.write([0x28, 0xb5, 0x2f, 0xfd], "t.jsonl")).contains("expected the end of a zstd frame"))
        #expect(try message(directory.write([0xfd, 0x37, 0x7a, 0x58, 0x5a], "t.jsonl.xz")).contains("found another compression"))
        #expect(try message(directory.write("{\"text\": \"a\"}", "n.jsonl"), tokenizer: nil).contains("needs a tokenizer"))
    }

    @Test func formats() throws {
        try expectMessage("{\"conversations\": []}", "no sample in")
        try expectMessage("{\"conversations\": {}}", "expected a list in 'conversations', found an object")
        try expectMessage("{\"messages\": [{}]}", "expected a string in 'messages[0].role', found null")
        try expectMessage("{\"messages\": [{\"role\": \"owl\", \"content\": \"\"}]}", "found \"owl\"")
        try expectMessage("{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]}", "expected parts of text in 'messages[0].content'")
        try expectMessage("{\"prompt\": 1, \"completion\": \"\"}", "expected a string in 'prompt'")
        try expectMessage("{\"question\": \"\", \"response\": null}", "expected a string in 'response', found null")
        try expectMessage("{\"tExt\": 1, \"id\": 2}", "input_ids, plain, found the keys \"tExt\", \"id\"")
        try expectMessage("{}", "found a record without keys")
        #expect(throws: DatasetError.unsupportedFormat(path: nil, found: "'csv'")) { try DatasetFormat.named("csv") }
        #expect(throws: DatasetError.unsupportedTemplate(name: "vicuna")) { try PromptTemplate.named("vicuna") }
        #expect(try DatasetFormat.named("auto") == nil)
        #expect(try DatasetFormat.named("input_ids") == .inputIDs)
    }

    @Test func records() throws {
        let good = "{\"text\": \"abc\"}\n"
        try expectMessage(good + good + "{\"text\": \"abc\"\n", "t.jsonl:3: invalid JSON")
        try expectMessage(good + "\n\n" + "nonsense\n", "t.jsonl:4: invalid JSON")
        try expectMessage(good + "{\"text\": \"a\", \"text\": \"b\"}", "t.jsonl:2: invalid JSON at byte 14: expected every key of an object once")
        try expectMessage(good + "{\"txt\": \"a\"}", "t.jsonl:2: expected the key 'text' (format text)")
        try expectMessage(good + "{\"text\": 7}", "t.jsonl:2: expected a string in 'text', found an integer")
        try expectMessage(good + "{\"text\": null}", "t.jsonl:2: expected a string in 'text', found null")
        try expectMessage(good + "[\"text\"]", "t.jsonl:2: expected an object, found an array")
        try expectMessage(good + "{\"text\": \"a\"} {}", "t.jsonl:2: invalid JSON")
        try expectMessage("[{\"text\":\n \"abc\"},\n {\"text\": 7}\n]", "t.json:3: expected a string in 'text'", name: "t.json")
        try expectMessage("[{\"text\":\n \"abc\"},\n {\"text\": 7}", "t.json:3: invalid JSON", name: "t.json")
        try expectMessage("{\n \"text\": \"abc\"\n}", "t.json:1: invalid JSON", name: "t.json")
        let alpaca = "{\"instruction\": \"a\", \"output\": \"b\"}\n"
        try expectMessage(alpaca + "{\"instruction\": \"a\"}", "t.jsonl:2: expected the key 'output' (format alpaca)")
        try expectMessage(alpaca + "{\"output\": \"a\"}", "t.jsonl:2: expected the key 'instruction'")
        try expectMessage(alpaca + "{\"instruction\": \"a\", \"output\": \"b\", \"input\": []}", "t.jsonl:2: expected a string in 'input'")
        try expectMessage("{\"text\": \"abc\"}", "t.jsonl:1: expected the key 'instruction'", format: .alpaca)
    }

    @Test func invalidUTF8() throws {
        let line = Array("{\"text\": \"abc\"}\n{\"text\": \"".utf8) + [0xc3, 0x28] + Array("\"}".utf8)
        #expect(try message(directory.write(line, "t.jsonl")).contains("t.jsonl:2: invalid JSON at byte 10: expected UTF-8"))
        let text = Array("one\ntwo\n\u{e9}".utf8) + [0xff]
        #expect(try message(directory.write(text, "t.txt")).contains("t.txt:3: expected UTF-8 text"))
    }

    @Test func tokens() throws {
        let good = "{\"input_ids\": [1, 2]}\n"
        try expectMessage(good + "{\"input_ids\": [1, 300]}", "t.jsonl:2: expected token ids in 0 ..< 300, found 300 in 'input_ids' at index 1")
        try expectMessage(good + "{\"input_ids\": [-1, 2]}", "found -1 in 'input_ids' at index 0")
        try expectMessage(good + "{\"input_ids\": [1, 2], \"labels\": [-100, -1]}", "found -1 in 'labels' at index 1")
        try expectMessage(good + "{\"input_ids\": [1, 2], \"labels\": [2]}", "t.jsonl:2: expected 2 labels, one for each token, found 1")
        try expectMessage(good + "{\"input_ids\": [1, 2.5]}", "expected integers in 'input_ids', found a number")
        try expectMessage(good + "{\"input_ids\": [1, \"2\"]}", "expected integers in 'input_ids', found a string")
        try expectMessage(good + "{\"input_ids\": 3}", "expected an array of integers in 'input_ids', found an integer")
        try expectMessage(good + "{\"input_ids\": [1, 2, 3, 4]}", "t.jsonl:2: expected at most 3 tokens (the window), found 4", length: 3)
        try expectMessage(good + "{\"input_ids\": [1, 2], \"labels\": [2, -100]}", "t.jsonl:2: expected at least one token to predict")
        try expectMessage(good + "{\"input_ids\": [1]}", "t.jsonl:2: expected at least one token to predict")
        try expectMessage(good + "{\"input_ids\": []}", "t.jsonl:2: expected at least one token to predict")
        try expectMessage(good + "{\"input_ids\": [1, 0], \"attention_mask\": [1, 0]}", "found padding")
        try expectMessage(good + "{\"text\": \"a\"}", "t.jsonl:2: expected the key 'input_ids'")
        try expectMessage(good + "{\"input_ids\": [1, 99999999999999999999]}", "expected integers in 'input_ids'")
    }

    @Test func otherVocabulary() throws {
        try expectMessage("{\"text\": \"a\"}\n{\"text\": \"b\"}", "t.jsonl:2: expected token ids in 0 ..< 101, found 101 made by the tokenizer", vocabularySize: 101)
        try expectMessage("aaa\nb", "t.txt:1: expected token ids in 0 ..< 101", name: "t.txt", vocabularySize: 101)
        try expectMessage(
            "{\"instruction\": \"é\", \"output\": \"b\"}", "t.jsonl:1: expected token ids in 0 ..< 150", length: 512, vocabularySize: 150)
    }

    @Test func nothingLeft() throws {
        try expectMessage("{\"instruction\": \"a\", \"output\": \"b\"}", "found none in 1 records; raise data.length")
        try expectMessage("{\"text\": \"\"}\n{\"text\": \"\"}", "found none in 2 records")
    }

    @Test func settings() throws {
        let path = try directory.write("{\"input_ids\": [1, 2]}", "t.jsonl")
        func message(_ configuration: DataConfiguration) -> String {
            do {
                _ = try TrainingData(
                    configuration: configuration, tokenizer: nil, vocabularySize: 10, bosTokenID: nil, eosTokenID: nil, seed: 0)
                return "none"
            } catch {
                return "\(error)"
            }
        }
        #expect(message(DataConfiguration(sources: [])).contains("expected at least one file"))
        #expect(message(DataConfiguration(sources: [.init(path: path)], length: 1)).contains("tokens, found 1"))
        #expect(message(DataConfiguration(sources: [.init(path: path)], length: .max)).contains("tokens, found"))
        #expect(throws: DatasetError.invalidSetting(name: "BOS token", expected: "an id in 0 ..< 10", found: "10")) {
            try TrainingData(
                configuration: DataConfiguration(sources: [.init(path: path)]), tokenizer: nil, vocabularySize: 10, bosTokenID: 10,
                eosTokenID: nil, seed: 0)
        }
        for weight in [0, -1, .nan, .infinity] {
            #expect(message(DataConfiguration(sources: [.init(path: path, weight: weight)])).contains("a finite number above 0"))
        }
    }

    /// Damaged datasets give samples or a `DatasetError`, never a trap.
    @Test(arguments: ["alpaca.json", "documents.jsonl", "plain.txt"]) func survivesDamage(name: String) throws {
        let original = try DataFixture.bytes(name)
        let tokenizer = try DataFixture.tokenizer("llama_like")
        try damage(original, name, seed: 31) { path, packing in
            let data = try TrainingData(path, length: 64, packing: packing, tokenizer: tokenizer, vocabularySize: 480)
            _ = try data.epoch()
        }
    }

    @Test func survivesDamagedTokenRecords() throws {
        let text = (0..<12).map { "{\"input_ids\": [1, \($0), 22, 3], \"labels\": [-100, 5, -100, 7]}" }.joined(separator: "\n")
        try damage(Array(text.utf8), "t.jsonl", seed: 32) { path, packing in
            let data = try TrainingData(path, length: 8, packing: packing, tokenizer: nil, vocabularySize: 100)
            for sample in try data.epoch() { #expect(sample.labels.allSatisfy { $0 == -100 || (0..<100).contains($0) }) }
        }
    }

    @Test(arguments: ConversationRecords.all) func survivesDamagedConversations(format: DatasetFormat, record: String) throws {
        let text = (0..<5).map { _ in record }.joined(separator: "\n")
        for (template, seed) in [(PromptTemplate.alpaca, UInt64(33)), (.chatml, 34)] {
            let tokenizer = ChatTokenizer()
            try damage(Array(text.utf8), "t.jsonl", seed: seed) { path, packing in
                let data = try TrainingData(
                    path, template: template, length: 64, packing: packing, tokenizer: tokenizer, vocabularySize: tokenizer.vocabularySize)
                for sample in try data.epoch() { #expect(sample.segments.allSatisfy { $0.count <= 64 }) }
            }
        }
    }

    private func damage(_ original: [UInt8], _ name: String, seed: UInt64, _ use: (String, Bool) throws -> Void) throws {
        var generator = LinearCongruentialGenerator(seed: seed)
        var refused = 0
        for round in 0..<300 {
            var bytes = original
            switch round % 4 {
            case 0: bytes.removeSubrange(generator.below(bytes.count)...)
            case 1:
                for _ in 0...generator.below(4) { bytes[generator.below(bytes.count)] = UInt8(generator.below(256)) }
            case 2:
                let syntax = Array("{}[]\",:\\\n0-e".utf8)
                bytes[generator.below(bytes.count)] = syntax[generator.below(syntax.count)]
            default:
                let start = generator.below(bytes.count)
                let piece = Array(original[start..<min(bytes.count, start + generator.below(100))])
                bytes.insert(contentsOf: piece, at: generator.below(bytes.count))
            }
            let path = try directory.write(bytes, name)
            do {
                try use(path, round % 2 == 0)
            } catch is DatasetError {
                refused += 1
            }
        }
        #expect(refused > 20)
    }
}

enum ConversationRecords {
    /// The other formats, a few records of each.
    static let all: [(DatasetFormat, String)] = [
        (.conversations, #"{"conversations": [{"from": "human", "value": "Hi \"Ada\""}, {"from": "gpt", "value": "Hello"}], "system": "Be \u00e9."}"#),
        (.messages, #"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello\n"}]}"#),
        (.openorca, #"{"id": "1", "system_prompt": "", "question": "Why?", "response": "Because."}"#),
        (.prompt, #"{"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Hello"}]}"#),
        (.prompt, #"{"prompt": "Hi", "completion": " there"}"#), (.alpaca, #"{"instruction": "Say", "input": null, "output": "so"}"#),
    ]
}

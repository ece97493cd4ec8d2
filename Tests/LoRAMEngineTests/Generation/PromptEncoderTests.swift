import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct PromptEncoderTests {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func text(_ ids: [Int32]) -> String {
        ids.map { $0 == 1 ? "<BOS>" : $0 == 2 ? "<EOS>" : ByteTokenizer().decode([$0]) }.joined()
    }

    @Test func plainTextsAndTemplates() throws {
        let tokenizer = ByteTokenizer()
        #expect(text(try PromptEncoder(tokenizer: tokenizer).encode("Hello")) == "<BOS>Hello")
        #expect(text(try PromptEncoder(tokenizer: tokenizer, addsBOS: false).encode("Hello")) == "Hello")
        #expect(text(try PromptEncoder(tokenizer: tokenizer, template: .llama2).encode("Hello")) == "<BOS>[INST] Hello [/INST]")
        #expect(text(try PromptEncoder(tokenizer: tokenizer, template: .alpaca).encode("Hello")).hasSuffix("### Instruction:\nHello\n\n### Response:\n"))
        // A template of another family of tokenizers.
        #expect(throws: DatasetError.self) { try PromptEncoder(tokenizer: tokenizer, template: .llama3) }
    }

    @Test func records() throws {
        let path = try directory.write(
            """
            {"prompt": "One"}
            {"text": "Two"}
            {"input_ids": [1, 70, 71]}
            {"instruction": "Add.", "input": "1 2"}
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]}
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "left out"}]}

            """, "prompts.jsonl")
        let found = try PromptEncoder(tokenizer: ByteTokenizer(), template: .llama2).read(path: path).map(text)
        #expect(found == [
            "<BOS>[INST] One [/INST]", "<BOS>[INST] Two [/INST]", "<BOS>CD", "<BOS>[INST] Add.\n1 2 [/INST]",
            "<BOS>[INST] a [/INST] b <EOS><BOS>[INST] c [/INST]", "<BOS>[INST] a [/INST]",
        ])
    }

    @Test(arguments: [
        (#"{"prompt": 5}"#, "a string"), (#"{"question_": "x"}"#, "one of prompt"), (#"{"input_ids": [1, "a"]}"#, "token ids"),
        (#"{"messages": [{"role": "assistant", "content": "x"}]}"#, "something to answer"), ("{", "1:"), ("[]", "at least one record"),
        (#"{"input_ids": 5}"#, "token ids"), (#"{"messages": 3}"#, "a list"),
    ])
    func badRecords(_ line: String, _ words: String) throws {
        let path = try directory.write(line, "bad.jsonl")
        let error = #expect(throws: (any Error).self) { try PromptEncoder(tokenizer: ByteTokenizer()).read(path: path) } as? any DiagnosedError
        #expect(error?.exitCode == .badInput && error?.description.contains(words) == true && error?.description.contains("\n") == false, "\(String(describing: error))")
    }

    @Test func badSettings() throws {
        let good = GenerationSettings(maxTokens: 10), config = SmallModel.config()
        try good.check()
        try good.check(prompts: [[1, 22]], config: config)
        func check(_ change: (inout GenerationSettings) -> Void, _ word: String) {
            var settings = good
            change(&settings)
            let changed = settings
            let error = #expect(throws: GenerationError.self) { try changed.check() }
            #expect(error?.description.contains(word) == true && error?.exitCode == .usage)
        }
        check({ $0.maxTokens = 0 }, "max-tokens")
        check({ $0.sampleCount = 0 }, "samples")
        check({ $0.sampling.temperature = -0.5 }, "-0.5")
        check({ $0.sampling.temperature = .nan }, "temperature")
        check({ $0.sampling.topK = 0 }, "top-k")
        check({ $0.sampling.topP = 1.5 }, "top-p")
        check({ $0.sampling.topP = 0 }, "top-p")
        check({ $0.stopStrings = ["a", ""] }, "stop")
        #expect(throws: GenerationError.emptyPrompt(number: 2)) { try good.check(prompts: [[1], []], config: config) }
        // 64 positions.
        try good.check(prompts: [[Int32](repeating: 5, count: 54)], config: config)
        #expect(throws: GenerationError.tooLong(number: 1, prompt: 55, maxTokens: 10, positions: 64)) {
            try good.check(prompts: [[Int32](repeating: 5, count: 55)], config: config)
        }
        #expect(throws: GenerationError.tokenOutOfRange(number: 1, token: 23, vocabularySize: 23)) { try good.check(prompts: [[23]], config: config) }
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Bytes as `ByteTokenizer` has them, and the special tokens of the chat templates from 300 on.
struct ChatTokenizer: Tokenizer {
    static let specials = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>"]
    var vocabularySize: Int { 300 + Self.specials.count }
    var bosTokenID: Int32? { 1 }
    var eosTokenID: Int32? { 2 }

    func encode(utf8 text: UnsafeBufferPointer<UInt8>, special: Bool, isContinuation: Bool, into ids: inout [Int32]) {
        var rest = text[...]
        while let byte = rest.first {
            if special, let index = Self.specials.firstIndex(where: { rest.starts(with: $0.utf8) }) {
                ids.append(Int32(300 + index))
                rest = rest.dropFirst(Self.specials[index].utf8.count)
            } else {
                ids.append(Int32(byte) + 3)
                rest = rest.dropFirst()
            }
        }
    }

    func decode(_ ids: [Int32]) -> String {
        ids.map { $0 == 1 ? "<s>" : $0 == 2 ? "</s>" : $0 >= 300 ? Self.specials[Int($0) - 300] : String(UnicodeScalar(UInt8($0 - 3))) }.joined()
    }

    func splitPosition(in text: UnsafeBufferPointer<UInt8>, from minimum: Int) -> Int? { nil }
    func maximumTokenCount(utf8Count: Int) -> Int { utf8Count }
}

/// What each format and template make of a conversation: the text, and which part of it is learnt.
@Suite struct ConversationTests {
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    /// The sample's text with what is learnt between brackets.
    private func rendered(_ record: String, _ template: PromptTemplate, answersOnly: Bool = true) throws -> String {
        let path = try directory.write(record, "t.jsonl")
        let tokenizer = ChatTokenizer()
        let data = try TrainingData(
            path, template: template, length: 4000, answersOnly: answersOnly, tokenizer: tokenizer, vocabularySize: tokenizer.vocabularySize)
        let sample = try data.epoch()[0]
        // Labels stand at the position they are predicted from.
        let ids = sample.segments[0]
        var text = tokenizer.decode([ids[0]]), isLearnt = false
        for position in 1..<ids.count {
            let learns = sample.labels[position - 1] != MicroBatch.ignoredLabel
            if learns != isLearnt { text += learns ? "[[" : "]]" }
            isLearnt = learns
            text += tokenizer.decode([ids[position]])
        }
        return text + (isLearnt ? "]]" : "")
    }

    static let shareGPT = #"{"conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": " Hi "}, {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "Bye"}, {"from": "gpt", "value": "Ciao"}, {"from": "human", "value": "dropped"}]}"#

    static let expected: [(PromptTemplate, String)] = [
        (
            .llama3,
            "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\n[[Hello<|eot_id|>]]<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\n[[Ciao<|eot_id|>]]"
        ),
        (
            .chatml,
            "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\n[[Hello<|im_end|>]]\n"
                + "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n[[Ciao<|im_end|>]]\n"
        ),
        (
            .llama2,
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST][[ Hello </s>]]<s>[INST] Bye [/INST][[ Ciao </s>]]"
        ),
        (
            .alpaca,
            "<s>Be brief.\n\n### Instruction:\n Hi \n\n### Response:\n[[Hello</s>]]### Instruction:\nBye\n\n### Response:\n[[Ciao</s>]]"
        ),
        (.none, "<s>Be brief.\n Hi [[Hello</s>]]Bye[[Ciao</s>]]"),
    ]

    @Test(arguments: expected) func rendersConversations(template: PromptTemplate, text: String) throws {
        #expect(try rendered(Self.shareGPT, template) == text)
    }

    @Test func readsEveryFormat() throws {
        let expected = "<s><|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[[A<|im_end|>]]\n"
        for record in [
            #"{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}"#,
            #"{"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]}, {"role": "assistant", "content": [{"type": "text", "value": "A"}]}]}"#,
            #"{"system_prompt": "", "question": "Q", "response": "A"}"#,
            #"{"prompt": "Q", "completion": "A"}"#,
            #"{"prompt": [{"role": "user", "content": "Q"}], "completion": [{"role": "assistant", "content": "A"}]}"#,
            #"{"instruction": "Q", "output": "A"}"#,
            #"{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}"#,
        ] {
            #expect(try rendered(record, .chatml) == expected, "\(record)")
        }
        #expect(try rendered(#"{"prompt": "2 + 2 =", "completion": " 4"}"#, .none) == "<s>2 + 2 =[[ 4</s>]]")
        #expect(try rendered(#"{"prompt": "2 + 2 =", "completion": " 4"}"#, .none, answersOnly: false) == "<s>[[2 + 2 = 4</s>]]")
        let tool = #"{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "f()"}, {"role": "tool", "content": "1"}, {"role": "assistant", "content": "one"}]}"#
        #expect(try rendered(tool, .llama3).contains("[[f()<|eot_id|>]]<|start_header_id|>ipython<|end_header_id|>\n\n1<|eot_id|>"))
    }

    @Test func aTemplateNeedsItsTokens() throws {
        let path = try directory.write(Self.shareGPT, "t.jsonl")
        #expect(throws: DatasetError.templateNeedsToken(template: "llama-3", token: "<|start_header_id|>")) {
            try TrainingData(path, template: .llama3, length: 100)
        }
    }

    @Test(.enabled(if: SharedData.path("sft") != nil, "shared data are absent"), arguments: ["sharegpt_glaive.json", "messages.jsonl", "alpaca_5000.json"])
    func readsRealData(name: String) throws {
        let tokenizer = try TokenizerLoader.load(path: SharedData.path("tokenizers/llama-3/tokenizer.model")!)
        let data = try TrainingData(
            SharedData.path("sft/\(name)")!, template: .llama3, length: 4096, tokenizer: tokenizer, vocabularySize: tokenizer.vocabularySize)
        #expect(data.statistics.dropped == 0 && data.statistics.samples == data.statistics.records)
        let batch = try data.microBatch(update: 1, microBatchIndex: 0, microBatchSize: 20, globalBatchSize: 20)
        #expect(batch.targetCount > 100 && batch.targetCount < batch.tokenCount)
    }
}

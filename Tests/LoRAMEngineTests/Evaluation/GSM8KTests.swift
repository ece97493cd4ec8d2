import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Prompts and the numbers in answers as lm-evaluation-harness has them.
@Suite struct GSM8KTests {
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private static func fixture() throws -> JSONValue {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/tasks")
        return try JSONValue.parse([UInt8](Data(contentsOf: folder.appendingPathComponent("answers.json"))))
    }

    @Test func answersAreExtractedAlike() throws {
        let answers = try #require(Self.fixture()["answers"]?.arrayValue)
        #expect(answers.count > 400)
        for answer in answers {
            let text = try #require(answer["text"]?.stringValue), target = try #require(answer["target"]?.stringValue)
            for (name, found) in [("strict", AnswerExtraction.strict(text)), ("flexible", AnswerExtraction.flexible(text))] {
                #expect(found == answer[name]?.stringValue, "\(name) of \(text.debugDescription)")
                #expect(AnswerExtraction.matches(found, target) == (answer["\(name)_matches"] == true), "\(text.debugDescription) for \(target.debugDescription)")
            }
        }
    }

    @Test func promptsHaveExamplesInFront() throws {
        let examples = try directory.write(
            #"{"question": "Two and two?", "target": "2 + 2 = 4. The answer is 4."}"# + "\n"
                + #"{"question": "Ten?", "answer": "Half is <<10/2=5>>5.\nTwice that.\n#### 10"}"#, "examples.jsonl")
        let questions = try directory.write(
            #"{"question": "How many?", "answer": "So many.\n#### 1,234"}"# + "\n" + #"{"question": "And?", "target": "7"}"#, "test.jsonl")
        let data = try GSM8KData(.init(path: questions, fewShotPath: examples, shots: 2))
        #expect(
            data.prompts[0] == """
                Q: Two and two?
                A: 2 + 2 = 4. The answer is 4.

                Q: Ten?
                A: Half is 5. Twice that. The answer is 10.

                Q: How many?
                A:
                """)
        #expect(try GSM8KData(.init(path: questions, shots: 0)).prompts == ["Q: How many?\nA:", "Q: And?\nA:"])
        let score = data.score([" That makes 1234. The answer is 1234.", " I say 7"])
        #expect(score.measures.map(\.mean) == [0.5, 1] && score.measures.map(\.standardError) == [0.5, 0])
        #expect(score.log[1]["strict"] == "[invalid]" && score.log[0]["target"] == "1,234")
        #expect(throws: EvaluationError.self) { try GSM8KData(.init(path: questions, fewShotPath: examples, shots: 3)) }
        #expect(throws: EvaluationError.self) { try GSM8KData(.init(path: questions, shots: 1)) }
        #expect(throws: DatasetError.self) { try GSM8KData(.init(path: directory.write(#"{"question": 1}"#, "bad.jsonl"), shots: 0)) }
    }

    @Test(.enabled(if: SharedData.path("eval/gsm8k.test.jsonl") != nil, "shared data are absent"))
    func realAnswersAreTheirOwnTargets() throws {
        let data = try GSM8KData(
            .init(path: SharedData.path("eval/gsm8k.test.jsonl")!, fewShotPath: SharedData.path("eval/gsm8k.train.jsonl")!, shots: 8))
        #expect(data.prompts.count == 1319)
        let answers = try GSM8KData(.init(path: SharedData.path("eval/gsm8k.test.jsonl")!, shots: 0)).score(data.prompts.map { _ in "" }).log.map { $0["target"]!.stringValue! }
        let score = data.score(answers.map { "The answer is \($0).\n\nQ:" })
        #expect(score.measures.map(\.mean) == [1, 1])
    }

    @Test func passAtKIsUnbiased() throws {
        let cases = try #require(Self.fixture()["pass_at_k"]?.arrayValue)
        for numbers in cases {
            let (n, c, k) = (numbers[0]!.intValue!, numbers[1]!.intValue!, numbers[2]!.intValue!)
            let found = try #require(HumanEvalData.passAtK(samples: n, passed: c, k: k))
            #expect(abs(found - numbers[3]!.doubleValue!) < 1e-12, "\(n) \(c) \(k)")
        }
        #expect(HumanEvalData.passAtK(samples: 9, passed: 9, k: 10) == nil)
    }
}

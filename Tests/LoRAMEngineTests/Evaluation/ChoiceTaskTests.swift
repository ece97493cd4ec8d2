import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Questions, examples and accuracies as lm-evaluation-harness has them.
@Suite struct ChoiceTaskTests {
    private let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    /// CPython: `r = random.Random(1234)`, then `r.sample(range(n), k)`.
    @Test func drawsAsPythonDoes() {
        var random = PythonRandom(seed: 1234)
        let expected: [(Int, [Int])] = [
            (5, [3, 0]), (1000, [7, 92, 932]), (7473, [6610, 4769, 286, 5501, 5677, 687, 806, 6279]), (21, [11]), (22, [7]), (40, [1, 39, 38, 22, 30, 29]),
        ]
        for (population, sample) in expected { #expect(random.sample(population, sample.count) == sample) }
    }

    private func data(_ task: ChoiceTask, _ records: String, shots: Int = 0, length: Int = 400, addsBOS: Bool = true) throws -> ChoiceData {
        let path = try directory.write(records, "t.jsonl")
        return try ChoiceData(
            .init(task: task, path: path, shots: shots, length: length, addsBOS: addsBOS), tokenizer: ByteTokenizer(), vocabularySize: 300, batchTokens: 1000)
    }

    /// Texts of all sequences, what is scored between brackets, in the order of the log.
    private func texts(_ data: ChoiceData) -> Set<String> {
        let tokenizer = ByteTokenizer()
        var result: Set<String> = []
        for batch in data.batches {
            for segment in batch.segments {
                let range = segment.start..<segment.start + segment.count
                let labels = range.map { batch.labels[$0] }.filter { $0 != MicroBatch.ignoredLabel }
                // The last token is predicted, not read.
                let read = Array(batch.tokenIDs[range]).dropLast(labels.count - 1)
                result.insert(tokenizer.decode(Array(read)) + "[[" + tokenizer.decode(labels) + "]]")
            }
        }
        return result
    }

    static let cases: [(ChoiceTask, String, Set<String>)] = [
        (
            .arcEasy, #"{"question": "Q?", "choices": {"text": ["x", "yy"], "label": ["1", "2"]}, "answerKey": "2"}"#,
            ["Question: Q?\nAnswer:[[ x]]", "Question: Q?\nAnswer:[[ yy]]"]
        ),
        (.openbookqa, #"{"question_stem": "The sun is", "choices": {"text": ["hot", "cold"], "label": ["A", "B"]}, "answerKey": "A"}"#, ["The sun is[[ hot]]", "The sun is[[ cold]]"]),
        (.piqa, #"{"goal": "G", "sol1": "a", "sol2": "b", "label": 1}"#, ["Question: G\nAnswer:[[ a]]", "Question: G\nAnswer:[[ b]]"]),
        (
            .mathqa, #"{"Problem": "P ?", "options": "a ) 24 , b ) 12 , 5 , c ) 3 , d ) none , e ) 1024", "correct": "b"}"#,
            ["24", "12", "3", "none", "1024"].reduce(into: []) { $0.insert("Question: P ?\nAnswer:[[ \($1)]]") }
        ),
        (
            .hellaswag,
            #"{"activity_label": "Cooking", "ctx_a": "He [substeps] cooks.", "ctx_b": "then HE", "endings": ["eats [title] up.", "sleeps."], "label": "0"}"#,
            ["Cooking: He cooks. Then he[[ eats. up.]]", "Cooking: He cooks. Then he[[ sleeps.]]"]
        ),
        (
            .winogrande, #"{"sentence": "Ann met Bea and _ smiled.", "option1": "Ann", "option2": "Bea", "answer": "1"}"#,
            ["Ann met Bea and Ann[[ smiled.]]", "Ann met Bea and Bea[[ smiled.]]"]
        ),
    ]

    @Test(arguments: cases) func posesQuestions(task: ChoiceTask, record: String, expected: Set<String>) throws {
        #expect(try texts(data(task, record)) == expected)
    }

    @Test func picksTheLikeliest() throws {
        let data = try data(.piqa, #"{"goal": "G", "sol1": "a", "sol2": "bbbb", "label": 1}"#)
        let result = data.result(losses: data.batches.flatMap(\.segments).map { $0.count > 22 ? 3.0 : 2.0 })
        // -2 for one character, -3 for four.
        #expect(result.accuracy == 0 && result.normalizedAccuracy == 1)
        #expect(result.logLikelihoods == [[-2, -3]])
    }

    @Test func putsExamplesBefore() throws {
        let records = (0..<4).map { #"{"goal": "G\#($0)", "sol1": "a", "sol2": "b", "label": \#($0 % 2)}"# }.joined(separator: "\n")
        let texts = try texts(data(.piqa, records, shots: 1))
        #expect(texts.count == 8)
        for text in texts {
            let parts = text.components(separatedBy: "\n\n")
            #expect(parts.count == 2)
            // A question is never its own example.
            let question = parts[1].components(separatedBy: "\n")[0]
            #expect(!parts[0].contains(question + "\n"))
        }
        #expect(throws: EvaluationError.self) { try data(.piqa, records, shots: 4) }
    }

    @Test func refusesWhatIsNoQuestion() throws {
        let bad = [
            (ChoiceTask.piqa, #"{"goal": "G", "sol1": "a", "sol2": "b", "label": 2}"#), (.piqa, #"{"goal": 1}"#), (.arcEasy, #"{"question": "Q", "answerKey": "A"}"#),
            (.arcEasy, #"{"question": "Q", "choices": {"text": ["x"], "label": ["A", "B"]}, "answerKey": "B"}"#), (.mathqa, #"{"Problem": "P", "options": "none", "correct": "a"}"#),
            (.winogrande, #"{"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"}"#), (.hellaswag, #"{"doc": {"query": "q", "choices": [], "gold": 0}}"#),
        ]
        for (task, record) in bad { #expect(throws: DatasetError.self) { try data(task, record) } }
        #expect(throws: EvaluationError.self) { try data(.piqa, Self.cases[2].1, length: 2) }
    }

    static let files: [(ChoiceTask, String)] = [
        (.arcEasy, "arc_easy.validation.jsonl"), (.arcChallenge, "arc_challenge.validation.jsonl"), (.openbookqa, "openbookqa.validation.jsonl"),
        (.piqa, "piqa.validation.jsonl"), (.winogrande, "winogrande.validation.jsonl"), (.hellaswag, "hellaswag.val1000.jsonl"), (.mathqa, "mathqa.test.json"),
    ]

    @Test(.enabled(if: SharedData.path("eval") != nil, "shared data are absent"), arguments: files)
    func readsRealQuestions(task: ChoiceTask, name: String) throws {
        let data = try ChoiceData(
            .init(task: task, path: SharedData.path("eval/\(name)")!, shots: 1, limit: 300, length: 4096), tokenizer: ByteTokenizer(), vocabularySize: 300,
            batchTokens: 8192)
        let count = data.batches.reduce(0) { $0 + $1.segments.count }
        #expect(count >= 2 * 290)
        let result = data.result(losses: [Double](repeating: 1, count: count))
        #expect((0.1...0.6).contains(result.accuracy))
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Damaged datasets, as every command that reads them meets them.
@Suite(.enabled(if: MPIRun.isAvailable, "MPI is not installed"))
struct BadDataTests {
    static let good = "{\"text\": \"Ada finds a lantern.\"}\n"

    static let damages: [(name: String, words: [String], bytes: [UInt8]?)] = [
        ("missing file", ["/nonexistent"], nil),
        ("empty", ["empty"], []),
        ("blank lines only", ["empty"], Array("\n \n".utf8)),
        ("invalid UTF-8", [":2:", "UTF-8"], Array(good.utf8) + Array("{\"text\": \"".utf8) + [0xc3, 0x28] + Array("\"}\n".utf8)),
        ("not JSON", [":2:"], Array("\(good){\"text\": oops}\n".utf8)),
        ("cut off", [":2:"], Array("\(good){\"text\": \"abc".utf8)),
        ("duplicate keys", [":2:", "once"], Array("\(good){\"text\": \"a\", \"text\": \"b\"}\n".utf8)),
        ("a record without the key", [":2:", "'text'"], Array("\(good){\"words\": \"abc\"}\n".utf8)),
        ("wrong type", [":2:", "'text'"], Array("\(good){\"text\": 5}\n".utf8)),
        ("token beyond the vocabulary", [":2:", "480"], Array("{\"input_ids\": [1, 5, 6]}\n{\"input_ids\": [1, 480]}\n".utf8)),
        ("negative token", [":1:", "-3"], Array("{\"input_ids\": [1, -3]}\n".utf8)),
        ("token that is no integer", [":1:", "integers"], Array("{\"input_ids\": [1, 2.5]}\n".utf8)),
        ("labels of another length", [":1:", "3 labels"], Array("{\"input_ids\": [1, 5, 6], \"labels\": [1, 5]}\n".utf8)),
        ("no labels", [":1:", "predict"], Array("{\"input_ids\": [1, 5], \"labels\": [-100, -100]}\n".utf8)),
        ("longer than the window", [":1:", "raise data.length"], Array("{\"input_ids\": [\([String](repeating: "7", count: 33).joined(separator: ","))]}\n".utf8)),
        ("unknown format", ["unsupported dataset format"], Array("{\"words\": 1}\n".utf8)),
    ]

    static let datasets: [BadInput] = damages.flatMap { name, words, bytes in
        let file: @Sendable (BadInputWorkspace) throws -> String = { w in try bytes.map { try w.file($0) } ?? "/nonexistent/data.jsonl" }
        return [
            BadInput(name: "evaluate, \(name)", words: words) { w, _ in try w.evaluateCommand(w.base, data: file(w)) },
            BadInput(name: "train, \(name)", words: words) { w, output in try w.trainCommand(w.base, data: file(w), output: output) },
            BadInput(name: "align, \(name)", words: words) { w, output in try w.alignCommand(w.base, data: file(w), output: output) },
        ]
    }

    @Test(arguments: datasets) func badDatasetEndsInOneLine(_ input: BadInput) throws { try input.check() }

    @Test(arguments: datasets.filter { $0.name == "train, empty" || $0.name == "evaluate, token beyond the vocabulary" })
    func oneLineFromManyRanks(_ input: BadInput) throws { try input.check(ranks: 3) }

    static let others: [BadInput] = [
        BadInput(name: "train, bad evaluation data", words: [":1:"]) { w, output in
            try w.trainCommand(w.base, output: output) + settings([("data.evaluation", "[{name: x, path: \(w.file(Array("{".utf8)))}]")])
        },
        BadInput(name: "train, window beyond the positions", words: ["128 positions", "data.length"]) { w, output in
            w.trainCommand(w.base, output: output) + settings([("data.length", "129")])
        },
        BadInput(name: "evaluate, window beyond the positions", words: ["128 positions", "--length"]) { w, _ in w.evaluateCommand(w.base) + ["--length", "129"] },
        BadInput(name: "train, texts without a tokenizer", words: ["tokenizer"]) { w, output in
            let model = try w.copy(w.base) { try FileManager.default.removeItem(atPath: "\($0)/tokenizer.model") }
            return w.trainCommand(model, data: w.project.texts, output: output)
        },
        BadInput(name: "train, a tokenizer of a larger vocabulary", words: ["tokenizer"]) { w, output in
            let config = LlamaConfig(
                hiddenSize: 32, vocabularySize: 200, headDim: 8, maxPositionCount: 128, layers: Project.config().layers, rmsNormEpsilon: 1e-5,
                rope: RoPEConfig(theta: 10000), tiesWordEmbeddings: false, dtype: .f32)
            let model = try w.project.writeCheckpoint("small-vocabulary-\(UUID().uuidString)", config)
            return w.trainCommand(model, data: w.project.texts, output: output)
        },
        BadInput(name: "tokenize, missing file", words: ["/nonexistent"]) { w, _ in ["tokenize", "--tokenizer", w.base, "/nonexistent"] },
        BadInput(name: "tokenize, missing tokenizer", words: ["/nonexistent"]) { w, _ in ["tokenize", "--tokenizer", "/nonexistent", w.project.texts] },
        BadInput(name: "tokenize, damaged tokenizer", words: ["tokenizer.model"]) { w, _ in
            let model = try w.copy(w.base) { try rewrite("\($0)/tokenizer.model") { $0.removeLast(3) } }
            return ["tokenize", "--tokenizer", model, w.project.texts]
        },
        BadInput(name: "tokenize, a record without text", words: [":1:", "'text'"]) { w, _ in
            ["tokenize", "--tokenizer", w.base, w.project.tokens]
        },
    ]

    @Test(arguments: others) func otherBadDataEndInOneLine(_ input: BadInput) throws { try input.check() }

    /// The mapped file loses its bytes under a run: a bus error, told in one line.
    @Test(arguments: [0, 2]) func aFileCutWhileInUse(ranks: Int) throws {
        let w = try BadInputWorkspace.shared.get()
        let data = try w.file([UInt8](Data(contentsOf: URL(fileURLWithPath: w.project.tokens)))), output = w.project.path("cut-\(ranks)")
        let command = w.trainCommand(w.base, data: data, output: output) + settings([("schedule.steps", "100000000"), ("checkpoint.every", "1000000")])
        let outcome = try CommandRun.run(command, ranks: ranks) { job in
            while job.isRunning, (FileSystem.fileSize("\(output)/metrics.jsonl") ?? 0) == 0 { usleep(1000) }
            truncate(data, 0)
        }
        #expect(outcome.exitCode == 65, "\(outcome.standardError)")
        let lines = outcome.errorLines(containing: "cut short")
        #expect(!lines.isEmpty && lines.allSatisfy { $0.contains(data) }, "\(outcome.standardError)")
        #expect(!FileManager.default.fileExists(atPath: "\(output)/adapter"))
    }
}

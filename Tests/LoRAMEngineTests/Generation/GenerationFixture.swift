import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// What transformers generates greedily in float32, by Tests/fixtures-src/make_generation.py.
struct GenerationFixture: Sendable {
    let model: String
    let usesAdapter: Bool
    let prompt: [Int32]
    /// EOS included, where it came.
    let tokens: [Int32]
    /// Of entries with a tokenizer.
    let text, continuation: String?

    static let all = Result { () throws -> [GenerationFixture] in
        let folder = try #require(Bundle.module.resourceURL)
        let entries = try JSONValue.parse(contentsOf: folder.appendingPathComponent("Fixtures/generation/expected.json").path)
        return (entries.arrayValue ?? []).map { entry in
            func ids(_ key: String) -> [Int32] { (entry[key]?.arrayValue ?? []).compactMap { $0.intValue.map { Int32($0) } } }
            return GenerationFixture(
                model: entry["model"]?.stringValue ?? "", usesAdapter: entry["adapter"]?.boolValue ?? false, prompt: ids("prompt"), tokens: ids("tokens"),
                text: entry["text"]?.stringValue, continuation: entry["continuation"]?.stringValue)
        }
    }

    static func of(_ model: String, adapter: Bool = false) throws -> [GenerationFixture] {
        try all.get().filter { $0.model == model && $0.usesAdapter == adapter }
    }
}

/// Generation in one process, as the pipeline does it.
enum Generating {
    /// - Parameter observe: gets the logits that each token was chosen from.
    static func run(
        _ stage: ModelStage, _ prompts: [[Int32]], _ settings: GenerationSettings, tokenizer: any Tokenizer = ByteTokenizer(), slots: Int = 16,
        stopTokenIDs: Set<Int32> = [2], observe: (_ sequence: Int, _ logits: [Float]) -> Void = { _, _ in }
    ) throws -> [Completion] {
        let longest = prompts.map(\.count).max()! + settings.maxTokens, vocabularySize = stage.config.vocabularySize
        let generating = try GenerationStage(stage: stage, capacity: GenerationCapacity(sequences: slots, positions: longest))
        var schedule = GenerationSchedule(prompts: prompts, slotCount: slots)
        var progress = prompts.map { CompletionProgress(prompt: $0, settings: settings, stopTokenIDs: stopTokenIDs, tokenizer: tokenizer) }
        let sampler = TokenSampler(settings.sampling, vocabularySize: vocabularySize, rows: GenerationStage.rowsTogether)
        func choose(_ sequences: [Int], _ logits: UnsafePointer<Float>) throws -> [Int32] {
            for (row, sequence) in sequences.enumerated() {
                observe(sequence, Array(UnsafeBufferPointer(start: logits + row * vocabularySize, count: vocabularySize)))
            }
            return try sampler.tokens(stage.threadPool, logits: logits, count: sequences.count) { row in
                let number = progress[sequences[row]].tokenIDs.count
                return (number, settings.sampling.random(prompt: sequences[row], sample: 0).uniform(at: UInt64(number)))
            }
        }
        var isWorking = true
        while isWorking {
            isWorking = false
            for group in 0..<schedule.groupCount {
                let turn = schedule.begin(group)
                guard !turn.isEmpty else { continue }
                isWorking = true
                var tokens: [Int32] = []
                for reading in turn.readings {
                    if let source = reading.source { generating.copy(from: source, to: reading.slot, count: reading.first) }
                    let prompt = prompts[reading.sequence]
                    var rows = 0
                    for first in stride(from: reading.first, to: prompt.count, by: GenerationStage.promptChunk) {
                        generating.read(prompt: prompt, slot: reading.slot, first: first)
                        rows = min(GenerationStage.promptChunk, prompt.count - first)
                    }
                    tokens += try choose([reading.sequence], generating.logits(rows: rows - 1..<rows))
                }
                if !turn.rows.isEmpty {
                    generating.advance(turn.rows)
                    tokens += try choose(turn.sequences.suffix(turn.rows.count), generating.logits(rows: 0..<turn.rows.count))
                }
                schedule.accept(turn, zip(turn.sequences, tokens).map { sequence, token in
                    _ = progress[sequence].append(token)
                    return progress[sequence].end == nil ? token : nil
                })
            }
        }
        return try progress.enumerated().map { try #require($1.completion(prompt: $0, sample: 0)) }
    }
}

import Foundation
import LoRAMEngine

/// What metrics.jsonl gets, as TensorBoard reads it: one file a start in `tensorboard/PHASE`.
public final class EventWriter {
    private let file: AppendedFile

    /// - Parameter firstStep: of this start; TensorBoard drops what an earlier one wrote from there on.
    /// - Throws: `FileError`.
    public init(directory: String, firstStep: Int) throws {
        try FileSystem.createDirectory(directory)
        let now = Date().timeIntervalSince1970
        // TensorBoard reads the files of a directory in the order of their names.
        let existing = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let latest = existing.compactMap { Int($0.split(separator: ".").dropFirst(3).first ?? "") }.max() ?? 0
        file = try AppendedFile("\(directory)/events.out.tfevents.\(max(Int(now), latest + 1)).loram")
        try append(.version, step: 0)
        try append(.start, step: firstStep)
    }

    /// - Throws: `FileError.cannotWrite`.
    func append(_ row: MetricsRow) throws {
        let values: [(String, Double?)] = [
            ("loss", row.loss), ("learning_rate", row.learningRate), ("grad_norm", row.gradientNorm), ("tokens_per_second", row.tokensPerSecond),
            ("step_seconds", row.stepSeconds), ("wait_seconds", row.waitSeconds), ("peak_rss_mib", row.peakResidentMiB),
        ]
        try append(.scalars(values.compactMap { tag, value in value.map { (tag, $0) } }), step: row.step)
    }

    /// - Throws: `FileError.cannotWrite`.
    func append(_ row: EvaluationRow) throws {
        try append(.scalars(row.values.map { ("eval/\($0.name)", $0.value) }), step: row.step)
    }

    private func append(_ content: TensorBoardEvent.Content, step: Int) throws {
        try file.append(bytes: TensorBoardEvent(wallTime: Date().timeIntervalSince1970, step: step, content: content).record)
    }
}

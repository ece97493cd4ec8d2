import Foundation
import LoRAMEngine

/// An update's facts from all ranks, brought to the coordinator's metrics.jsonl, log.txt and progress line.
struct StepReport {
    private let job: Job
    private let seat: ProcessGrid.Seat
    private let phase: Recipe.Phase
    private let directory: RunDirectory?
    private var progress: ProgressLine
    private var faultCount = Machine.majorPageFaultCount
    private let start = ContinuousClock.now

    init(job: Job, trainer: Trainer, directory: RunDirectory?) {
        self.job = job
        seat = trainer.seat
        phase = trainer.settings.phase
        self.directory = directory
        progress = .forStandardError(phase: phase, stepCount: trainer.settings.schedule.steps)
    }

    /// All ranks call this after an update. What is collected does not grow with the number of ranks.
    mutating func add(_ update: Trainer.Update, seconds: Double) throws {
        let busy = seconds - update.waitSeconds
        var largest = [busy, update.waitSeconds, Machine.peakResidentMiB, seconds]
        try largest.withUnsafeMutableBufferPointer { try seat.training.allReduce($0.baseAddress!, count: $0.count, .max) }
        // Who is done before the slowest waits for it too.
        let busySum = try seat.training.allReduce(busy, .sum)
        let slowest = try seat.training.allReduce(Int64(largest[0] == busy ? seat.training.worldRank : -1), .max)
        let faults = Machine.majorPageFaultCount
        let faultSum = try seat.training.allReduce(Int64(faults - faultCount), .sum)
        faultCount = faults
        guard let directory else { return }
        let row = MetricsRow(
            step: update.number, phase: phase, loss: update.loss, learningRate: update.learningRate, gradientNorm: update.gradientNorm,
            tokenCount: update.tokenCount, tokensPerSecond: Double(update.tokenCount) / largest[3], stepSeconds: largest[3],
            waitSeconds: largest[1], slowestRank: Int(slowest), majorPageFaultCount: Int(faultSum), peakResidentMiB: largest[2],
            bubble: largest[3] > 0 ? 1 - busySum / (Double(seat.training.size) * largest[3]) : 0)
        try directory.metrics.append(row)
        try directory.log.append(progress.describe(row))
        if let text = progress.update(row, now: (ContinuousClock.now - start) / .seconds(1)) { write(text) }
        if !update.isApplied {
            let reason = update.loss == nil ? "no token of its batch carries a label" : "its loss or gradient is not finite"
            try message("update \(update.number) skipped: \(reason)")
        }
    }

    /// All ranks call this; the coordinator writes.
    mutating func add(_ row: EvaluationRow) throws {
        guard let directory else { return }
        try directory.metrics.append(row)
        let values = row.values.map { "\($0.name) \(Formatting.fixed($0.value, decimals: 4))" }.joined(separator: "  ")
        try message("\(phase.rawValue) \(row.step)  perplexity  \(values)")
    }

    private mutating func message(_ text: String) throws {
        try directory?.log.append(text)
        write(progress.message(text))
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

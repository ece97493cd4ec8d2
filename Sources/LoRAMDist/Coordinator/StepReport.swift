import LoRAMEngine

/// An update's facts from all ranks, brought to the coordinator.
struct StepReport {
    private let coordinator: Coordinator
    private let seat: ProcessGrid.Seat
    private let phase: Recipe.Phase
    private var faultCount = Machine.majorPageFaultCount

    init(job: Job, trainer: Trainer) {
        coordinator = job.coordinator
        seat = trainer.seat
        phase = trainer.settings.phase
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
        let reason = update.loss == nil ? "no token of its batch carries a label" : "its loss or gradient is not finite"
        try coordinator.tell(
            .update(
                MetricsRow(
                    step: update.number, phase: phase, loss: update.loss, learningRate: update.learningRate, gradientNorm: update.gradientNorm,
                    tokenCount: update.tokenCount, tokensPerSecond: Double(update.tokenCount) / largest[3], stepSeconds: largest[3],
                    waitSeconds: largest[1], slowestRank: Int(slowest), majorPageFaultCount: Int(faultSum), peakResidentMiB: largest[2],
                    bubble: largest[3] > 0 ? 1 - busySum / (Double(seat.training.size) * largest[3]) : 0),
                skipped: update.isApplied ? nil : reason))
    }
}

import LoRAMEngine

/// Several datasets' micro-batches, all scored in one reading of the model, which every rank streams for its own share.
final class StreamedBatches {
    /// The losses of one dataset's share, which are known already.
    struct Scorer: BatchScorer {
        let seat: ProcessGrid.Seat
        fileprivate let losses: [[Double]]

        /// What `batch` gives was scored before.
        func forEachOwnBatch(count: Int, batch: (Int) throws -> MicroBatch, _ body: (_ index: Int, _ losses: [Double]) -> Void) {
            for (place, index) in StreamedBatches.own(seat, count: count).enumerated() { body(index, losses[place]) }
        }
    }

    private let seat: ProcessGrid.Seat
    private var batches: [MicroBatch] = []
    private var ends: [Int] = []

    /// - Parameter seat: of a grid with one stage.
    init(seat: ProcessGrid.Seat) { self.seat = seat }

    private static func own(_ seat: ProcessGrid.Seat, count: Int) -> [Int] {
        Array(stride(from: seat.position.replica, to: count, by: seat.replicas.size))
    }

    /// Adds a dataset of `count` micro-batches.
    func add(count: Int, batch: (Int) throws -> MicroBatch) throws {
        batches += try Self.own(seat, count: count).map(batch)
        ends.append(batches.count)
    }

    /// One scorer a dataset, in the order in which they were added. All ranks call this.
    func score(_ scoring: StreamedScoring, _ job: Job) throws -> [Scorer] {
        job.marker.mark("scoring layer by layer")
        job.pool.setPoll(
            { Unmanaged<ProgressMarker>.fromOpaque($0!).takeUnretainedValue().touch() }, context: Unmanaged.passUnretained(job.marker).toOpaque())
        defer { job.pool.setPoll(nil, context: nil) }
        let marker = job.marker, clock = ContinuousClock(), start = clock.now
        var noted = start
        let losses = try scoring.tokenLosses(batches, moved: { marker.touch() }) { done, count in
            guard clock.now - noted > .seconds(10), done < count else { return }
            noted = clock.now
            let seconds = (noted - start) / .seconds(1)
            job.note("part \(done) of \(count) of the model, \(Formatting.seconds(seconds / Double(done) * Double(count - done))) to go")
        }
        job.note(
            "scored \(batches.reduce(0) { $0 + $1.tokenCount }) tokens layer by layer in \(Formatting.seconds((clock.now - start) / .seconds(1))), "
                + "\(Formatting.fixed(Machine.peakResidentMiB, decimals: 0)) MiB at the peak")
        // A rank with more or longer texts takes longer.
        try job.waitForOthers()
        return ends.indices.map { set in Scorer(seat: seat, losses: Array(losses[(set == 0 ? 0 : ends[set - 1])..<ends[set]])) }
    }
}

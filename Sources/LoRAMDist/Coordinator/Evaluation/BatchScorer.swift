import LoRAMEngine

/// Whoever gives a grid's replicas the losses of their shares of micro-batches.
protocol BatchScorer {
    var seat: ProcessGrid.Seat { get }

    /// Goes through this replica's share of the batches. On the last stage `body` gets -log p of every labelled token of each batch, in
    /// their order.
    func forEachOwnBatch(count: Int, batch: (Int) throws -> MicroBatch, _ body: (_ index: Int, _ losses: [Double]) -> Void) throws
}

extension BatchScorer {
    /// All ranks call this. The result has the same bits on every grid: each micro-batch's sum is made by one rank, and the sums are
    /// added in the dataset's order.
    func score(_ data: EvaluationData, microBatchSize: Int) throws -> Evaluator.Result {
        let count = data.microBatchCount(size: microBatchSize)
        var losses = [Double](repeating: 0, count: count), targets = [Int64](repeating: 0, count: count)
        try forEachOwnBatch(count: count, batch: { try data.microBatch($0, size: microBatchSize) }) { index, rows in
            losses[index] = rows.reduce(0, +)
            targets[index] = Int64(rows.count)
        }
        try losses.withUnsafeMutableBufferPointer { try seat.training.allReduce($0.baseAddress!, count: count, .sum) }
        try targets.withUnsafeMutableBufferPointer { try seat.training.allReduce($0.baseAddress!, count: count, .sum) }
        return Evaluator.Result(lossSum: losses.reduce(0, +), tokenCount: Int(targets.reduce(0, +)))
    }

    /// -log P of every segment of the batches, summed over its labelled tokens, in their order. All ranks call this and get the same
    /// bits on every grid.
    func sequenceLosses(_ batches: [MicroBatch]) throws -> [Double] {
        let starts = batches.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.segments.count) }
        var losses = [Double](repeating: 0, count: starts[starts.count - 1])
        try forEachOwnBatch(count: batches.count, batch: { batches[$0] }) { index, rows in
            let batch = batches[index]
            var row = 0
            for (place, segment) in batch.segments.enumerated() {
                for position in segment.start..<segment.start + segment.count where batch.labels[position] != MicroBatch.ignoredLabel {
                    losses[starts[index] + place] += rows[row]
                    row += 1
                }
            }
        }
        let count = losses.count
        try losses.withUnsafeMutableBufferPointer { losses in
            guard let base = losses.baseAddress else { return }
            try seat.training.allReduce(base, count: count, .sum)
        }
        return losses
    }
}

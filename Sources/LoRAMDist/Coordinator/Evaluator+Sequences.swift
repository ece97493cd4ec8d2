import LoRAMEngine

extension Evaluator {
    /// -log P of every segment of the batches, summed over its labelled tokens, in their order. All ranks call this and get the same
    /// bits on every grid.
    public func sequenceLosses(_ batches: [MicroBatch]) throws -> [Double] {
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

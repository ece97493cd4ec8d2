import LoRAMDist
import LoRAMEngine

/// A made-up training state: tensors with recognisable bits.
struct StateFixture {
    var tensors: [(name: String, shape: [Int], values: [Float])]

    init(names: [String] = ["layer.0.a", "layer.0.b", "layer.1.a", "layer.1.b"], seed: UInt64 = 1) {
        tensors = names.enumerated().map { index, name in
            let shape = [index + 1, 3]
            var values = (0..<3 * (index + 1)).map { Float(bitPattern: UInt32(truncatingIfNeeded: CounterRandom(seed: seed, name: name).bits(at: UInt64($0)))) }
            // Bits that a conversion would lose: a signaling NaN, minus zero, the smallest subnormal.
            values[0] = Float(bitPattern: 0x7f80_0001)
            values[1] = -0.0
            values[2] = Float(bitPattern: 1)
            return (name, shape, values)
        }
    }

    /// Writes the tensors `indices` as one shard.
    func writeShard(_ directory: String, index: Int, of indices: Range<Int>) throws -> ShardRecord {
        try write(tensors[indices], directory: directory, index: index, collected: [])
    }

    private func write(
        _ rest: ArraySlice<(name: String, shape: [Int], values: [Float])>, directory: String, index: Int, collected: [StateTensor]
    ) throws -> ShardRecord {
        guard let first = rest.first else { return try StateWriter.writeShard(directory: directory, index: index, tensors: collected) }
        return try first.values.withUnsafeBufferPointer { buffer in
            try write(
                rest.dropFirst(), directory: directory, index: index,
                collected: collected + [StateTensor(name: first.name, shape: first.shape, values: buffer.baseAddress!)])
        }
    }

    /// Saves everything as a commit of `shardCount` shards.
    func commit(
        run: String, step: Int, phase: Recipe.Phase = .train, shardCount: Int = 2, keep: Int = 3, recipe: Recipe = Recipe()
    ) throws {
        let states = StateDirectory(run: run)
        let directory = try states.begin(step: step)
        let records = try (0..<shardCount).map { shard in
            try writeShard(directory, index: shard, of: tensors.count * shard / shardCount..<tensors.count * (shard + 1) / shardCount)
        }
        try states.commit(
            step: step, phase: phase, position: TrainingPosition(sampleCount: 8 * step, tokenCount: 100 * step, optimizerStepCount: step - 1),
            fingerprint: recipe.resumeFingerprint(of: phase, base: nil), records: records.reversed(), keep: keep)
    }

    func read(_ reader: StateReader) throws -> [[UInt32]] {
        try tensors.map { tensor in
            var values = [Float](repeating: 0, count: tensor.values.count)
            try reader.copy(tensor.name, shape: tensor.shape, into: &values)
            return values.map(\.bitPattern)
        }
    }

    var bits: [[UInt32]] { tensors.map { $0.values.map(\.bitPattern) } }
}

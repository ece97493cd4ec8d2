import Foundation
import LoRAMEngine

/// Saving and restoring what training has made: values and moments of every trained tensor, by name.
extension Trainer {
    /// All ranks call this: writes the state to a commit's directory that is there already.
    ///
    /// Replica 0 of every stage writes its tensors, of which the others send it their parts.
    /// - Returns: on rank 0, what was written by all.
    func writeState(to directory: String, _ storage: JobStorage) throws -> [ShardRecord]? {
        marker.mark("saving the training state")
        let tensors = chunks.flatMap { chunk in
            // A tied head is the embedding's copy, which the first stage saves.
            chunk.stage.layout.tensors.filter { $0.tiedTo == nil }.flatMap { tensor in
                OptimizerShard.Quantity.allCases.map { (chunk: chunk, tensor: tensor, quantity: $0) }
            }
        }
        let buffer = FloatBuffer(count: Self.pieceCount)
        func collect(_ index: Int, _ consume: (UnsafePointer<Float>, Int) throws -> Void) throws {
            let (chunk, tensor, quantity) = tensors[index]
            try chunk.optimizer.collect(quantity, tensor.offset..<tensor.offset + tensor.count, buffer, consume)
        }
        var record: ShardRecord?
        if seat.position.replica > 0 {
            for index in tensors.indices { try collect(index) { _, _ in } }
        } else {
            try storage.prepare(directory)
            record = try StateWriter.writeShard(
                directory: directory, index: seat.position.stage,
                tensors: tensors.map { (StateName.name($0.quantity, of: $0.tensor.name), $0.tensor.shape) }, fill: collect)
        }
        try storage.bringBack(record.map { ["\(directory)/\($0.file)"] } ?? [], in: seat.training)
        guard let record else { return nil }
        return try seat.pipeline.gather(JSONEncoder().encode(record), root: 0)?.map { try JSONDecoder().decode(ShardRecord.self, from: $0) }
    }

    /// All ranks call this: takes values and moments from a state, whatever grid wrote it.
    ///
    /// - Throws: `CheckpointStateError` for damaged or other tensors.
    func restore(_ state: StateReader, _ storage: JobStorage) throws {
        try seat.training.together {
            // Who has parts of the files only cannot hash them.
            if let (part, parts) = storage.share(in: seat.training) { try state.verify(part: part, of: parts) }
            for chunk in chunks {
                for tensor in chunk.stage.layout.tensors {
                    for quantity in OptimizerShard.Quantity.allCases { try chunk.optimizer.restore(quantity, of: tensor, from: state) }
                }
            }
        }
        for chunk in chunks { try chunk.optimizer.publish(pool: chunk.stage.threadPool) }
        optimizerStepCount = state.manifest.position.optimizerStepCount
    }
}

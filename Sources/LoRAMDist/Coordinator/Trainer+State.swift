import Foundation
import LoRAMEngine

/// Saving and restoring what training has made: values and moments of every trained tensor, by name.
extension Trainer {
    /// All ranks call this: commits the state after update `step` to the run directory.
    ///
    /// Replica 0 of every stage writes its tensors; the coordinator writes the manifest last and renames. Returns when the commit is there.
    /// - Parameter fingerprint: the coordinator's, nil on the others.
    func save(step: Int, tokenCount: Int, states: StateDirectory, fingerprint: RecipeFingerprint?, storage: JobStorage) throws {
        marker.mark("saving the training state")
        if grid.isCoordinator { try states.begin(step: step) }
        try seat.training.barrier()
        var record: ShardRecord?, directory = states.temporaryPath(step: step)
        if seat.position.replica == 0 {
            try storage.prepare(directory)
            record = try StateWriter.writeShard(directory: directory, index: seat.position.stage, tensors: ownedStateTensors())
        }
        try storage.bringBack(record.map { ["\(directory)/\($0.file)"] } ?? [], in: seat.training)
        if let record {
            let records = try seat.pipeline.gather(JSONEncoder().encode(record), root: 0)
            if let records, let fingerprint {
                try states.commit(
                    step: step, phase: settings.phase,
                    position: TrainingPosition(
                        sampleCount: step * settings.batch.global, tokenCount: tokenCount, optimizerStepCount: optimizerStepCount),
                    fingerprint: fingerprint, records: try records.map { try JSONDecoder().decode(ShardRecord.self, from: $0) },
                    keep: settings.checkpoint.keep)
            }
        }
        try seat.training.barrier()
    }

    /// All ranks call this: takes values and moments from a state, whatever grid wrote it.
    ///
    /// - Throws: `CheckpointStateError` for damaged or other tensors.
    func restore(_ state: StateReader, _ storage: JobStorage) throws {
        // Who has parts of the files only cannot hash them.
        if let (part, parts) = storage.share(in: seat.training) { try state.verify(part: part, of: parts) }
        for tensor in stage.layout.tensors {
            let name = tensor.tiedTo ?? tensor.name
            try state.copy(StateName.value(of: name), shape: tensor.shape, into: stage.parameters + tensor.offset)
            try state.copy(StateName.firstMoment(of: name), shape: tensor.shape, into: firstMoments + tensor.offset)
            try state.copy(StateName.secondMoment(of: name), shape: tensor.shape, into: secondMoments + tensor.offset)
        }
        optimizerStepCount = state.manifest.position.optimizerStepCount
    }

    /// A tied head is the embedding's copy, which the first stage saves.
    private func ownedStateTensors() -> [StateTensor] {
        stage.layout.tensors.filter { $0.tiedTo == nil }.flatMap { tensor in
            [
                StateTensor(name: StateName.value(of: tensor.name), shape: tensor.shape, values: stage.parameters + tensor.offset),
                StateTensor(name: StateName.firstMoment(of: tensor.name), shape: tensor.shape, values: firstMoments + tensor.offset),
                StateTensor(name: StateName.secondMoment(of: tensor.name), shape: tensor.shape, values: secondMoments + tensor.offset),
            ]
        }
    }
}

import Foundation
import LoRAMEngine

/// Merges an adapter into a checkpoint on all ranks: each stores some of the output's files, the coordinator what binds them together.
///
/// The files are the same for any number of ranks. Every rank holds fixed buffers, whatever the model: two batches of frames, the factors of
/// a few modules, and the parts of an NF4 weight where such a base is packed.
public enum MergeRun {
    public struct Settings: Sendable {
        /// The original's directory, plain or packed.
        public var base: String
        public var adapter: String
        public var output: String
        public var codec = RecoveryRecipe.Codec.planes
        /// Keep SHA-256 of every plain file.
        public var hashes = true
        public var replacing = false

        public init(base: String, adapter: String, output: String) {
            self.base = base
            self.adapter = adapter
            self.output = output
        }
    }

    /// All ranks call this.
    ///
    /// - Returns: on the coordinator.
    /// - Throws: `AdapterError` for an adapter of another model; errors of the files.
    public static func run(_ job: Job, _ settings: Settings) throws -> StorageRun.Report? {
        let start = ContinuousClock.now
        // Whole files are read and written: that is for ranks that see them.
        guard let world = job.storage.sharers else {
            try job.waitForOthers()
            return nil
        }
        let isCoordinator = world.rank == 0
        job.marker.mark("planning the merge")
        let plan = try world.together {
            let base = try Checkpoint(directory: settings.base), adapter = try Adapter(directory: settings.adapter)
            let masks = try AdapterMask.masks(of: adapter, config: base.config)
            return try MergePlan(base: base, adapter: adapter, mask: masks.map { MaskedDelta($0, config: base.config) })
        }
        let merger = try world.together { try CheckpointMerger(plan, to: settings.output, codec: settings.codec, hashes: settings.hashes, pool: job.pool) }
        let directory = try world.together {
            isCoordinator ? try AtomicDirectory(settings.output, replacing: settings.replacing, resumable: true) : nil
        }

        job.marker.mark("merging")
        let share = merger.shares(world.size)[world.rank]
        var failure: (any Error)?
        var progress = StorageProgress(verb: "merged", total: merger.byteCount(of: share))
        do {
            for file in share {
                try merger.store(file) { count in
                    job.marker.touch()
                    if isCoordinator { progress.add(count) }
                }
            }
        } catch {
            failure = error
        }
        try job.waitForOthers()
        try world.together { if let failure { throw failure } }
        return try world.together {
            guard let directory else { return nil }
            let (stored, plain) = try merger.finish(directory)
            progress.close()
            return StorageRun.Report(
                path: settings.output, verb: "merged", codec: settings.codec.rawValue, fileCount: plan.fileCount, plainByteCount: plain,
                storedByteCount: stored, seconds: start.duration(to: .now) / .seconds(1))
        }
    }
}

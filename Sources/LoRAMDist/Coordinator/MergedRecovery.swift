import LoRAMEngine

/// `recover --merge`: the adapter in the original's shape in OUTPUT/adapter, the full model in OUTPUT/model.
public enum MergedRecovery {
    /// All ranks call this.
    ///
    /// - Returns: on the coordinator.
    /// - Throws: errors of recovery and of the merge.
    public static func run(_ job: Job, pruned: String?, adapter: String, output: String, hashes: Bool) throws -> StorageRun.Report? {
        let paths = RunPaths(output)
        job.marker.mark("recovering the adapter")
        try job.world.together {
            guard job.world.rank == 0 else { return }
            if FilePath.exists(paths.model) { throw FileError.exists(path: paths.model) }
            try FileSystem.createDirectory(output)
            // What an attempt that was cut off has left is made again: it is small.
            try RecoveryRun.run(job.recipe, pruned: pruned, adapter: adapter, output: paths.adapter, replacing: true)
        }
        var settings = MergeRun.Settings(base: try job.recipe.requiredModel(), adapter: paths.adapter, output: paths.model)
        settings.codec = job.recipe.recovery.compress
        settings.hashes = hashes
        if Checkpoint.isQuantized(settings.base) {
            job.note("\(settings.base): these weights are 4-bit, the merged ones keep their rounding; for the whole gain merge into the original")
        }
        return try MergeRun.run(job, settings)
    }
}

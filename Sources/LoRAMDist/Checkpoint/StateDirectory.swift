import LoRAMEngine

/// `RUN/checkpoints`: committed training states and their life cycle.
///
/// A state is filled under a hidden name that all ranks know, gets its manifest last and is then renamed, so that `step-N` is complete
/// whenever it is there. Everything but `StateWriter.writeShard` is the coordinator's alone.
public struct StateDirectory: Sendable {
    public let path: String

    /// - Parameter run: the run directory.
    public init(run: String) {
        path = "\(run)/checkpoints"
    }

    /// `checkpoints/step-00000050`
    public func committedPath(step: Int) -> String { "\(path)/\(Self.name(step: step))" }

    /// Where the ranks write the shards of a state that is being saved; a function of the step, known to all.
    public func temporaryPath(step: Int) -> String { "\(path)/.\(Self.name(step: step)).partial" }

    /// Makes the empty temporary directory. Ranks write to it after this returned.
    ///
    /// - Throws: `FileError`.
    @discardableResult
    public func begin(step: Int) throws -> String {
        let temporary = temporaryPath(step: step)
        try FileSystem.remove(temporary)
        try FileSystem.createDirectory(temporary)
        return temporary
    }

    /// Writes the manifest and gives the state its name: the moment from which a run resumes from it. Then removes the phase's oldest
    /// commits beyond `keep`, and those of other phases, whose results are complete: `RunDirectory` opens for no phase before that.
    ///
    /// - Parameter records: of every shard, in any order.
    /// - Throws: `CheckpointStateError` if shards or tensors are missing or doubled; `FileError`. Before the rename nothing is lost.
    public func commit(
        step: Int, phase: Recipe.Phase, position: TrainingPosition, fingerprint: RecipeFingerprint, records: [ShardRecord], keep: Int
    ) throws {
        let temporary = temporaryPath(step: step)
        let files = records.sorted { $0.file < $1.file }
        try Self.check(files, in: temporary)
        let manifest = StateManifest(step: step, phase: phase, position: position, fingerprint: fingerprint, files: files)
        try OutputFile.write(manifest.json.serializedBytes(pretty: true) + [UInt8(ascii: "\n")], to: "\(temporary)/\(StateManifest.fileName)")
        try FileSystem.syncDirectory(temporary)

        let final = committedPath(step: step)
        if FilePath.exists(final) { try retire(step: step) }
        try FileSystem.rename(temporary, to: final)
        try rotate(phase: phase, keep: keep)
    }

    /// Steps of the committed states, ascending.
    ///
    /// - Throws: `FileError`.
    public func committedSteps() throws -> [Int] {
        guard FilePath.isDirectory(path) else { return [] }
        return try FilePath.names(inDirectory: path).compactMap(Self.step(ofName:)).sorted()
    }

    /// The newest committed state of a phase; nil if it has none. Its manifest and its files' sizes are checked, their content is not:
    /// see `StateReader.verify`.
    ///
    /// - Throws: `CheckpointStateError`, `FileError`. A damaged newest state is an error, not passed over: going back is the user's decision.
    public func latest(phase: Recipe.Phase) throws -> StateReader? {
        for step in try committedSteps().reversed() {
            let manifest = try StateManifest(directory: committedPath(step: step))
            guard manifest.step == step else {
                throw CheckpointStateError.badManifest(
                    path: "\(committedPath(step: step))/\(StateManifest.fileName)", item: "step", expected: "\(step)", found: "\(manifest.step)")
            }
            if manifest.phase == phase { return try StateReader(directory: committedPath(step: step), manifest: manifest) }
        }
        return nil
    }

    /// Removes what killed runs left: states that were never committed and commits that were being removed.
    ///
    /// - Throws: `FileError`.
    public func removeLeftovers() throws {
        guard FilePath.isDirectory(path) else { return }
        for name in try FilePath.names(inDirectory: path) where name.hasPrefix(".step-") {
            try FileSystem.remove("\(path)/\(name)")
        }
    }

    // MARK: Life cycle

    private func rotate(phase: Recipe.Phase, keep: Int) throws {
        var kept = 0
        for step in try committedSteps().reversed() {
            // A directory that is no commit of ours stays; `latest` complains about it.
            guard let manifest = try? StateManifest(directory: committedPath(step: step)) else { continue }
            let isOurs = manifest.phase == phase
            if isOurs { kept += 1 }
            if !isOurs || kept > max(keep, 1) { try retire(step: step) }
        }
    }

    /// Takes the name away before the content, so that no `step-N` is ever in part.
    private func retire(step: Int) throws {
        let retired = "\(path)/.\(Self.name(step: step)).removed"
        try FileSystem.remove(retired)
        try FileSystem.rename(committedPath(step: step), to: retired)
        try FileSystem.remove(retired)
    }

    /// Files are state-00000, state-00001, ...; all are there in full; no tensor is in two.
    private static func check(_ files: [ShardRecord], in directory: String) throws {
        var owner: [String: String] = [:]
        for (index, record) in files.enumerated() {
            guard record.file == ShardRecord.fileName(shard: index) else {
                throw CheckpointStateError.wrongShards(directory: directory, expected: ShardRecord.fileName(shard: index), found: record.file)
            }
            guard let byteCount = FileSystem.fileSize("\(directory)/\(record.file)") else {
                throw CheckpointStateError.missingFile(path: "\(directory)/\(record.file)")
            }
            guard byteCount == record.byteCount else {
                throw CheckpointStateError.wrongSize(path: "\(directory)/\(record.file)", expected: record.byteCount, found: byteCount)
            }
            for name in record.tensorNames {
                if let first = owner.updateValue(record.file, forKey: name) {
                    throw CheckpointStateError.duplicateTensor(name: name, first: first, second: record.file)
                }
            }
        }
        guard !files.isEmpty else { throw CheckpointStateError.wrongShards(directory: directory, expected: "shards", found: "none") }
    }

    // MARK: Names

    private static func name(step: Int) -> String {
        let digits = String(step)
        return "step-\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits)"
    }

    private static func step(ofName directory: String) -> Int? {
        guard directory.hasPrefix("step-"), let step = Int(directory.dropFirst(5)), step >= 0, name(step: step) == directory else { return nil }
        return step
    }
}

/// Stores the files of a merged model, some here and others in other processes, and at last completes the directory.
package struct CheckpointMerger: Sendable {
    private let plan: MergePlan
    private let output: String
    private let store: CheckpointStore
    private let packer: FilePacker
    /// Codec `base`: nothing is stored, the original is hashed.
    private let isBase: Bool

    /// - Throws: `CompressionError.noContext`; `.otherBase` for a base that is not stored either.
    package init(_ plan: MergePlan, to output: String, codec: RecoveryRecipe.Codec, hashes: Bool, pool: ThreadPool) throws {
        self.plan = plan
        self.output = output
        isBase = codec == .base
        if isBase, plan.base.files.codecName == BaseRecord.codecName {
            throw CompressionError.otherBase(
                path: output, base: plan.base.directory, item: "weights of its own, that is, a codec", expected: "planes or zstd", found: BaseRecord.codecName)
        }
        let stored = Codec(rawValue: codec.rawValue) ?? .none
        store = CheckpointStore(path: output, codec: stored, hashes: hashes)
        packer = try FilePacker(codec: stored, hashes: hashes, pool: pool)
    }

    /// Which files each of `count` processes has to do: the largest first, each to whom has least. All compute the same.
    package func shares(_ count: Int) -> [[Int]] {
        var shares = Array(repeating: [Int](), count: count), sizes = Array(repeating: 0, count: count)
        let order = plan.files.indices.sorted { (plan.files[$1].byteCount, $0) < (plan.files[$0].byteCount, $1) }
        for file in order {
            let least = sizes.indices.min { (sizes[$0], $0) < (sizes[$1], $1) }!
            shares[least].append(file)
            sizes[least] += plan.files[file].byteCount
        }
        return shares
    }

    package func byteCount(of share: [Int]) -> Int { share.reduce(0) { $0 + plan.files[$1].byteCount } }

    /// - Parameter progress: called with bytes done since the last call.
    package func store(_ number: Int, progress: (Int) throws -> Void) throws {
        let file = plan.files[number]
        // A base without hashes has nothing to do here.
        if isBase, !store.hashes { return }
        _ = try store.store(
            isBase ? plan.base.files.open(file.name) : file, name: file.name, fingerprint: plan.fingerprint(file.name), packer: packer,
            writes: !isBase, progress: progress)
    }

    /// When all files are stored: config.json, companions, the index; then the directory gets its name.
    ///
    /// - Returns: bytes of the files, stored and plain.
    package func finish(_ directory: AtomicDirectory) throws -> (stored: Int, plain: Int) {
        let source = plan.base.directory
        let generated = [Checkpoint.configName, Checkpoint.indexName]
        var companions: [PackedIndex.Companion] = []
        for name in try plan.base.files.companions() where !generated.contains(name) {
            companions.append(try store.copy("\(source)/\(name)", as: name))
        }
        companions.append(try store.write(plan.configuration.serializedBytes(pretty: true) + [0x0a], as: Checkpoint.configName))
        if let index = plan.index { companions.append(try store.write(index.serializedBytes(pretty: true) + [0x0a], as: Checkpoint.indexName)) }

        let plain = plan.files.reduce(0) { $0 + $1.byteCount }
        guard isBase else {
            let records = try plan.files.map { try store.record($0.name) }
            let index = PackedIndex(contents: .packed(store.codec), files: records, companions: companions)
            try store.finish(directory, index: store.codec == .none ? nil : index)
            return (index.storedByteCount, plain)
        }
        var hashes: [String: String] = [:]
        if store.hashes { for file in plan.files { hashes[file.name] = try store.record(file.name).sha256 } }
        try FileSystem.createDirectory(directory.path(BaseRecord.adapterName))
        let adapter = FilePath.parent(plan.adapter.file.path)
        var stored = 0
        for name in [Adapter.configName, Adapter.weightsName] {
            stored += try store.copy("\(adapter)/\(name)", as: "\(BaseRecord.adapterName)/\(name)").byteCount
        }
        let files = plan.files.map { file in
            PackedRecord(
                name: file.name, byteCount: file.byteCount, sha256: nil, codec: .none, storedByteCount: 0,
                frameByteCount: FrameFormat.defaultByteCount, sections: [])
        }
        let record = try BaseRecord(plan, directory: directory.finalPath, hashes: hashes)
        try store.finish(directory, index: PackedIndex(contents: .base(record), files: files, companions: companions))
        return (stored, plain)
    }
}

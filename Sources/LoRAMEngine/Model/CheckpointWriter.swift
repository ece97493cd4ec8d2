import Glibc

/// Writes a Hugging Face checkpoint directory as a stream of tensors, in shards, under a temporary name until `finish()`.
///
/// One shard gives `model.safetensors`, several give `model-0000i-of-0000n.safetensors` with an index. Memory is one write buffer.
public final class CheckpointWriter {
    /// transformers 4's own default.
    public static let defaultMaxShardByteCount = 5_000_000_000
    /// Files that a tokenizer and a generator need beside the weights.
    public static let companionNames = [
        "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
        "generation_config.json",
    ]

    private let directory: AtomicDirectory
    private let shards: [(name: String, tensors: [TensorInfo])]
    private let deferred: Set<String>
    /// What was given for deferred tensors, until their shard is complete and after.
    private var deferredBytes: [String: [UInt8]] = [:]
    private let shardByTensor: [String: Int]
    private var current = 0
    private var writer: SafetensorsWriter

    /// Makes the temporary directory with everything but weights: config.json, companions, the modeling script, the index.
    ///
    /// - Parameters:
    ///   - path: directory to make.
    ///   - tensors: in the order in which they will be streamed.
    ///   - deferred: those among them that are not streamed but given by `setDeferred`: lists of U8 whose declared length is a bound.
    ///   - configuration: contents of config.json, see `LlamaConfig.configJSON`; one with `auto_map` gets `ModelingScript` beside it.
    ///   - companionsFrom: a directory whose tokenizer files are copied, those that are there.
    ///   - replacing: whether an existing directory may be replaced.
    /// - Throws: `FileError`, `SafetensorsError`, `CheckpointError.noSpace`.
    public init(
        path: String, tensors: [TensorInfo], deferred: Set<String> = [], configuration: JSONValue, companionsFrom: String? = nil,
        maxShardByteCount: Int = defaultMaxShardByteCount, replacing: Bool = false
    ) throws {
        for tensor in tensors where TensorInfo.checkedByteCount(tensor.shape, tensor.dtype) == nil {
            throw SafetensorsError.shapeTooLarge(path: path, tensor: tensor.name, shape: tensor.shape)
        }
        shards = Self.cut(tensors, maxByteCount: maxShardByteCount)
        var shardByTensor: [String: Int] = [:]
        for (number, shard) in shards.enumerated() {
            for tensor in shard.tensors where shardByTensor.updateValue(number, forKey: tensor.name) != nil {
                throw SafetensorsError.duplicateName(path: path, tensor: tensor.name)
            }
        }
        self.shardByTensor = shardByTensor
        self.deferred = deferred
        directory = try AtomicDirectory(path, replacing: replacing)
        try Self.checkSpace(directory.temporaryPath, finalPath: path, needed: tensors.reduce(0) { $0 + $1.byteCount })
        writer = try Self.writer(directory, shards[0], deferred)

        try addFile(Checkpoint.configName, configuration.serializedBytes(pretty: true) + [0x0a])
        if configuration["auto_map"] != nil { try addFile(ModelingScript.fileName, Array(ModelingScript.text.utf8)) }
        for name in companionsFrom == nil ? [] : Self.companionNames {
            let source = "\(companionsFrom!)/\(name)"
            guard FilePath.isRegularFile(source) else { continue }
            try addFile(name, try MappedFile(path: source).withBytes { Array($0) })
        }
    }

    /// Puts one more small file into the directory, replacing one of that name.
    public func addFile(_ name: String, _ bytes: [UInt8]) throws {
        try OutputFile.write(bytes, to: directory.path(name))
    }

    /// Puts a file that exists into the directory too.
    ///
    /// - Throws: `FileError`.
    public func link(_ name: String, from source: String) throws { try FileSystem.linkOrCopy(source, to: directory.path(name)) }

    /// Where a further file of the directory is written until `finish()`, by whoever does not have it in memory.
    public func path(ofFile name: String) -> String { directory.path(name) }

    /// Appends bytes to tensor `name`; tensors come in their declared order, each in any number of pieces.
    ///
    /// - Throws: `SafetensorsError.writtenOutOfOrder`, `FileError.cannotWrite`.
    public func append(_ bytes: UnsafeRawBufferPointer, to name: String) throws {
        try turnToShard(of: name)
        try writer.append(bytes, to: name)
    }

    /// Appends floats, converted to the tensor's declared type.
    ///
    /// - Throws: as `append`, and `SafetensorsError.notFloatingPoint`.
    public func append(floats values: UnsafePointer<Float>, count: Int, to name: String) throws {
        try turnToShard(of: name)
        try writer.append(floats: values, count: count, to: name)
    }

    /// The bytes of a deferred tensor, before its shard is complete: at the latest when the tensor declared after it begins.
    public func setDeferred(_ bytes: [UInt8], _ name: String) {
        deferredBytes[name] = bytes
    }

    /// Completes the last shard and gives the directory its name.
    ///
    /// - Throws: `SafetensorsError.writtenOutOfOrder` if bytes are missing; `FileError`.
    public func finish() throws {
        while current + 1 < shards.count { try turnToNextShard() }
        try finishShard()
        if shards.count > 1 { try addFile(Checkpoint.indexName, index().serializedBytes(pretty: true) + [0x0a]) }
        try directory.commit()
    }

    private func turnToShard(of name: String) throws {
        guard let shard = shardByTensor[name], shard != current else { return }
        // A shard may hold nothing but deferred tensors, which nobody streams.
        guard shard > current, (current + 1..<shard).allSatisfy({ shards[$0].tensors.allSatisfy { deferred.contains($0.name) } }) else {
            throw SafetensorsError.writtenOutOfOrder(
                path: writer.path, expected: "tensors in their declared order", found: "tensor \(name)")
        }
        while current < shard { try turnToNextShard() }
    }

    private func turnToNextShard() throws {
        try finishShard()
        current += 1
        writer = try Self.writer(directory, shards[current], deferred)
    }

    private static func writer(_ directory: AtomicDirectory, _ shard: (name: String, tensors: [TensorInfo]), _ deferred: Set<String>) throws -> SafetensorsWriter {
        try SafetensorsWriter(
            path: directory.path(shard.name), tensors: shard.tensors.filter { !deferred.contains($0.name) },
            deferred: shard.tensors.filter { deferred.contains($0.name) })
    }

    private func finishShard() throws {
        for tensor in shards[current].tensors {
            if let bytes = deferredBytes[tensor.name] { try writer.setDeferred(bytes, tensor.name) }
        }
        try writer.finish()
    }

    /// Fills shards in order; a tensor is never split, so one larger than the limit has a shard of its own.
    private static func cut(_ tensors: [TensorInfo], maxByteCount: Int) -> [(name: String, tensors: [TensorInfo])] {
        var groups: [[TensorInfo]] = [[]]
        var size = 0
        for tensor in tensors {
            if size > 0, size + tensor.byteCount > maxByteCount {
                groups.append([])
                size = 0
            }
            groups[groups.count - 1].append(tensor)
            size += tensor.byteCount
        }
        guard groups.count > 1 else { return [(Checkpoint.weightsName, groups[0])] }
        return groups.enumerated().map { ("model-\(padded($0.offset + 1))-of-\(padded(groups.count)).safetensors", $0.element) }
    }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }

    /// Bytes of all tensors; of deferred ones what was given.
    public var byteCount: Int {
        shards.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + (deferredBytes[$1.name]?.count ?? $1.byteCount) } }
    }

    private func index() -> JSONValue {
        let total = byteCount
        let map = shards.flatMap { shard in shard.tensors.map { JSONMember($0.name, .string(shard.name)) } }
        return ["metadata": ["total_size": .integer(total)], "weight_map": .object(map)]
    }

    /// A full disk is better known before hours of work than after.
    private static func checkSpace(_ directory: String, finalPath: String, needed: Int) throws {
        var status = statvfs()
        // A file system that does not say is left to fail at the write.
        guard statvfs(directory, &status) == 0, status.f_blocks > 0 else { return }
        let (available, overflows) = Int(status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
        guard overflows || available >= needed else {
            throw CheckpointError.noSpace(path: finalPath, needed: needed, available: available)
        }
    }
}

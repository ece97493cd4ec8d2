import LoRAMEngine

/// Writes one rank's part of a training state.
public enum StateWriter {
    /// Streams f32 tensors in memory, bit for bit and without copies; otherwise as the other one.
    public static func writeShard(directory: String, index: Int, tensors: [StateTensor]) throws -> ShardRecord {
        try writeShard(directory: directory, index: index, tensors: tensors.map { ($0.name, $0.shape) }) { tensor, append in
            try append(tensors[tensor].values, tensors[tensor].shape.reduce(1, *))
        }
    }

    /// Streams f32 tensors, bit for bit, into shard `index` of a directory that `StateDirectory.begin` made. A rank that holds nothing
    /// of its own (replicas other than 0) does not call this; one without tensors writes an empty shard.
    ///
    /// - Parameters:
    ///   - index: different for every writer of this state; together they are 0 ..< count.
    ///   - fill: appends a tensor's values, in order, in one or more parts.
    /// - Throws: `FileError` (a full disk, for example), `SafetensorsError.duplicateName`.
    public static func writeShard(
        directory: String, index: Int, tensors: [(name: String, shape: [Int])],
        fill: (_ tensor: Int, _ append: (UnsafePointer<Float>, _ count: Int) throws -> Void) throws -> Void
    ) throws -> ShardRecord {
        let file = ShardRecord.fileName(shard: index)
        let path = "\(directory)/\(file)"
        let writer = try SafetensorsWriter(
            path: path, tensors: tensors.map { TensorInfo(name: $0.name, dtype: .f32, shape: $0.shape) },
            metadata: [("format", "loram-state")])
        for (position, tensor) in tensors.enumerated() {
            try fill(position) { try writer.append(UnsafeRawBufferPointer(start: $0, count: $1 * 4), to: tensor.name) }
        }
        try writer.finish()
        guard let byteCount = FileSystem.fileSize(path) else { throw CheckpointStateError.missingFile(path: path) }
        // Read back rather than hashed on the way: the hash then vouches for what the file holds.
        return ShardRecord(file: file, byteCount: byteCount, sha256: try ContentHash.sha256(file: path), tensorNames: tensors.map(\.name))
    }
}

import LoRAMEngine

/// A committed training state, read by tensor name: a rank takes what it holds, whatever grid wrote it.
public final class StateReader: Sendable {
    public let directory: String
    public let manifest: StateManifest
    private let shards: [SafetensorsFile]
    private let shardByTensor: [String: Int]

    /// Opens the shards and their headers.
    ///
    /// - Throws: `CheckpointStateError`, `SafetensorsError`, `FileError`.
    init(directory: String, manifest: StateManifest) throws {
        var shards: [SafetensorsFile] = []
        var shardByTensor: [String: Int] = [:]
        for (index, record) in manifest.files.enumerated() {
            let path = "\(directory)/\(record.file)"
            guard let byteCount = FileSystem.fileSize(path) else { throw CheckpointStateError.missingFile(path: path) }
            guard byteCount == record.byteCount else {
                throw CheckpointStateError.wrongSize(path: path, expected: record.byteCount, found: byteCount)
            }
            let shard = try SafetensorsFile(path: path)
            for tensor in shard.tensors {
                if let first = shardByTensor.updateValue(index, forKey: tensor.name) {
                    throw CheckpointStateError.duplicateTensor(name: tensor.name, first: manifest.files[first].file, second: record.file)
                }
            }
            shards.append(shard)
        }
        self.directory = directory
        self.manifest = manifest
        self.shards = shards
        self.shardByTensor = shardByTensor
    }

    /// Opens the state of a known step, as ranks do once the coordinator has told them which.
    ///
    /// - Throws: `CheckpointStateError`, `SafetensorsError`, `FileError`.
    public convenience init(run: String, step: Int) throws {
        let directory = StateDirectory(run: run).committedPath(step: step)
        try self.init(directory: directory, manifest: try StateManifest(directory: directory))
    }

    public var tensorNames: [String] { shards.flatMap { $0.tensors.map(\.name) } }

    /// Compares the content of files with the manifest's SHA-256. Ranks share the work: `part` of `parts` takes every parts-th file.
    ///
    /// - Throws: `CheckpointStateError.wrongHash`; `FileError`.
    public func verify(part: Int = 0, of parts: Int = 1) throws {
        for (index, record) in manifest.files.enumerated() where index % parts == part {
            let path = "\(directory)/\(record.file)"
            let found = try ContentHash.sha256(file: path)
            guard found == record.sha256 else { throw CheckpointStateError.wrongHash(path: path, expected: record.sha256, found: found) }
        }
    }

    /// Sees that the state holds exactly these tensors, with these shapes.
    ///
    /// - Throws: `CheckpointStateError.missingTensor`, `.unexpectedTensor`, `.wrongShape`, `.wrongDType`.
    public func requireExactly(_ tensors: [(name: String, shape: [Int])]) throws {
        for tensor in tensors { _ = try view(tensor.name, shape: tensor.shape) }
        let expected = Set(tensors.map(\.name))
        if let name = tensorNames.first(where: { !expected.contains($0) }) {
            throw CheckpointStateError.unexpectedTensor(name: name, directory: directory)
        }
    }

    /// Copies a tensor's f32 bits.
    ///
    /// - Parameters:
    ///   - shape: what the tensor's shape must be.
    ///   - elements: the part to copy, in row-major order; nil: all of it.
    /// - Throws: `CheckpointStateError.missingTensor`, `.wrongShape`, `.wrongDType`.
    /// - Precondition: `elements` lie within the shape.
    public func copy(_ name: String, shape: [Int], elements: Range<Int>? = nil, into destination: UnsafeMutablePointer<Float>) throws {
        let view = try view(name, shape: shape)
        let range = elements ?? 0..<view.info.elementCount
        precondition(range.lowerBound >= 0 && range.upperBound <= view.info.elementCount, "elements outside of \(name)")
        guard let base = view.bytes.baseAddress, !range.isEmpty else { return }
        UnsafeMutableRawPointer(destination).copyMemory(from: base + range.lowerBound * 4, byteCount: range.count * 4)
    }

    private func view(_ name: String, shape: [Int]) throws -> TensorView {
        guard let index = shardByTensor[name] else { throw CheckpointStateError.missingTensor(name: name, directory: directory) }
        let view = try shards[index].tensor(name)
        guard view.dtype == .f32 else { throw CheckpointStateError.wrongDType(name: name, path: view.origin, found: view.dtype) }
        guard view.shape == shape else {
            throw CheckpointStateError.wrongShape(name: name, path: view.origin, expected: shape, found: view.shape)
        }
        return view
    }
}

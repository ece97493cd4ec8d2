/// A Hugging Face checkpoint directory: config.json and model.safetensors, or shards with model.safetensors.index.json; plain or packed.
///
/// Plain files are mapped when a tensor of theirs is first asked for, packed ones decoded where they are read.
public final class Checkpoint: TensorSource {
    public static let configName = "config.json"
    public static let weightsName = "model.safetensors"
    public static let indexName = "model.safetensors.index.json"

    public let directory: String
    public let config: LlamaConfig
    /// config.json as it stands, with keys that `LlamaConfig` does not keep.
    public let configuration: JSONValue
    /// How the linear layers are stored; nil for plain weights.
    public let quantization: QuantizationConfig?
    /// File names of the shards, in the order in which the index first names them.
    public let shardNames: [String]
    /// Tensor names in the index's order, with the shard of each; nil for a single file, whose own header knows.
    private let index: Index?
    package let files: CheckpointFiles

    private struct Index {
        var names: [String]
        var shardByTensor: [String: Int]
    }

    /// Reads config.json and the index, and sees that every shard is there; opens none.
    ///
    /// - Throws: `FileError`, `ConfigError` (also for a quantization other than NF4), `CheckpointError`.
    public convenience init(directory: String) throws {
        try self.init(directory: directory, anyQuantization: false)
    }

    /// - Parameter anyQuantization: accept a checkpoint whose quantization cannot be read, to look at its tensors.
    init(directory: String, anyQuantization: Bool) throws {
        let configPath = "\(directory)/\(Self.configName)"
        self.directory = directory
        configuration = try ConfigFields(file: configPath).object
        config = try LlamaConfig(json: configuration, path: configPath)
        let fields = ConfigFields(configuration, path: configPath)
        quantization = anyQuantization ? try? QuantizationConfig(fields) : try QuantizationConfig(fields)
        files = try CheckpointFiles(directory: directory)
        // transformers also prefers the single file where both are there.
        if files.contains(Self.weightsName) {
            shardNames = [Self.weightsName]
            index = nil
        } else if FilePath.isRegularFile("\(directory)/\(Self.indexName)") {
            (shardNames, index) = try Self.readIndex(files)
        } else {
            throw CheckpointError.noWeights(directory: directory)
        }
    }

    /// Whether a directory has weights that `init` would find.
    public static func hasWeights(_ directory: String) -> Bool {
        [weightsName, indexName, PackedIndex.fileName].contains { FilePath.isRegularFile("\(directory)/\($0)") }
    }

    private static func readIndex(_ files: CheckpointFiles) throws -> ([String], Index) {
        let path = "\(files.directory)/\(indexName)"
        let document: JSONValue
        do {
            document = try JSONValue.parse(contentsOf: path)
        } catch let error as JSONError {
            throw CheckpointError.badIndex(path: path, expected: "JSON", found: "\(error)")
        }
        guard case .object(let members)? = document["weight_map"] else {
            throw CheckpointError.badIndex(
                path: path, expected: "an object under weight_map", found: document["weight_map"]?.kindDescription ?? "none")
        }
        var shards: [String] = []
        var shardByName: [String: Int] = [:]
        var result = Index(names: [], shardByTensor: Dictionary(minimumCapacity: members.count))
        for member in members {
            guard case .string(let name) = member.value else {
                throw CheckpointError.badIndex(
                    path: path, expected: "a file name for tensor \(member.key)", found: member.value.kindDescription)
            }
            // A name with a path in it could reach out of the directory.
            guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), !name.utf8.contains(0), name != ".", name != ".." else {
                throw CheckpointError.badIndex(
                    path: path, expected: "plain file names", found: "\(name.debugDescription) for tensor \(member.key)")
            }
            let shard: Int
            if let known = shardByName[name] {
                shard = known
            } else {
                guard files.contains(name) else {
                    throw CheckpointError.missingShard(index: path, file: name)
                }
                shard = shards.count
                shards.append(name)
                shardByName[name] = shard
            }
            if isIgnored(member.key) { continue }
            guard result.shardByTensor.updateValue(shard, forKey: member.key) == nil else {
                throw CheckpointError.badIndex(path: path, expected: "every tensor once", found: "\(member.key) again")
            }
            result.names.append(member.key)
        }
        return (shards, result)
    }

    /// Buffers that old conversions saved and that follow from config.json.
    private static func isIgnored(_ name: String) -> Bool { name.hasSuffix("rotary_emb.inv_freq") }

    // MARK: Tensors

    /// Names of all tensors, in the order of the index or of the file.
    ///
    /// - Throws: errors of opening a single file.
    public func tensorNames() throws -> [String] {
        if let index { return index.names }
        return try shard(0).tensors.map(\.name).filter { !Self.isIgnored($0) }
    }

    /// A file that cannot be opened contains nothing here; reading from it says why.
    public func contains(_ name: String) -> Bool {
        if let index { return index.shardByTensor[name] != nil }
        return (try? shard(0))?.contains(name) ?? false
    }

    /// The file that holds a tensor, and the tensor's place in its header.
    ///
    /// - Throws: `CheckpointError.missingTensor`, `.notInShard`, errors of opening the file.
    func locate(_ name: String) throws -> (file: any TensorFile, entry: Int) {
        guard let number = index == nil ? 0 : index?.shardByTensor[name] else {
            throw CheckpointError.missingTensor(directory: directory, tensor: name)
        }
        let file = try shard(number)
        guard let entry = file.header.index(of: name) else {
            throw index == nil
                ? CheckpointError.missingTensor(directory: directory, tensor: name)
                : CheckpointError.notInShard(file: file.path, tensor: name)
        }
        return (file, entry)
    }

    /// The bytes of a tensor where they lie in the file; of a packed one decoded, in memory of their own.
    ///
    /// - Throws: as `locate`, errors of reading.
    public func tensor(_ name: String) throws -> TensorView {
        let (file, entry) = try locate(name)
        return try file.view(entry)
    }

    /// Where a weight of the model is: F32, F16 or BF16 and of the given shape.
    ///
    /// - Throws: `CheckpointError`, also for a quantized weight; errors of opening the file.
    func locateWeight(_ name: String, shape: [Int]) throws -> (file: any TensorFile, entry: Int, info: TensorInfo) {
        let (file, entry) = try locate(name), info = file.header.entries[entry].info
        if isNF4(name) { throw CheckpointError.quantized(path: file.path, tensor: name) }
        guard info.shape == shape else {
            throw CheckpointError.wrongShape(path: file.path, tensor: name, expected: shape, found: info.shape)
        }
        guard info.dtype == .f32 || info.dtype == .f16 || info.dtype == .bf16 else {
            throw CheckpointError.wrongDType(path: file.path, tensor: name, found: info.dtype)
        }
        return (file, entry, info)
    }

    /// The bytes of a weight of the model.
    ///
    /// - Throws: as `locateWeight`, errors of reading.
    public func weight(_ name: String, shape: [Int]) throws -> TensorView {
        let (file, entry, _) = try locateWeight(name, shape: shape)
        return try file.view(entry)
    }

    /// A quantized weight is dequantized.
    public func copyFloats(
        _ name: String, shape: [Int], rows: Range<Int>?, into destination: UnsafeMutablePointer<Float>
    ) throws {
        try copyFloats(name, shape: shape, elements: Self.elements(of: rows, shape: shape), into: destination)
    }

    /// Any range of elements, row-major, which may begin and end within a row.
    func copyFloats(_ name: String, shape: [Int], elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
        let origin: String
        if let quantized = try nf4(name, shape: shape) {
            quantized.copyFloats(elements: elements, into: destination)
            origin = quantized.origin
        } else {
            let (file, entry, _) = try locateWeight(name, shape: shape)
            try file.copyFloats(entry, elements, into: destination)
            origin = file.path
        }
        if let offset = FloatConversion.firstNonFinite(destination, count: elements.count) {
            throw CheckpointError.nonFinite(path: origin, tensor: name, element: elements.lowerBound + offset)
        }
    }

    /// Opens every shard and checks that all weights of the model are there with the right shapes and types, and that the index
    /// tells the truth. Reads headers and quantization states only; of a packed checkpoint the quantized weights too.
    ///
    /// - Throws: `CheckpointError`, `QuantizationError`, `SafetensorsError`, `FileError`.
    public func validate() throws {
        for (name, shape) in WeightLayout.names(config) where try nf4(name, shape: shape) == nil { _ = try locateWeight(name, shape: shape) }
        for name in try tensorNames() { _ = try locate(name) }
    }

    /// The file of a shard, opened at its first use.
    public func shard(_ number: Int) throws -> any TensorFile { try files.open(shardNames[number]) }
}

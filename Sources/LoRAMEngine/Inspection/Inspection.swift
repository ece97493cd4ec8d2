/// What a file or directory is, for `inspect`: its kind, model, tensors and metadata. Reads headers, never weights (an adapter's
/// values are checked, being small).
public struct Inspection: Sendable {
    public enum Kind: String, Sendable {
        case safetensors = "safetensors file"
        case checkpoint = "checkpoint"
        case prunedCheckpoint = "pruned checkpoint"
        case configuration = "model configuration"
        case adapter = "LoRA adapter"
        case tokenizer = "tokenizer"
        case unknown = "unknown"
    }

    public struct Tensor: Sendable, Equatable {
        public var info: TensorInfo
        /// Name of the file that holds it.
        public var file: String
    }

    public let path: String
    public let kind: Kind
    public private(set) var config: LlamaConfig?
    /// From the configuration where there is one, else the elements of all tensors.
    public private(set) var parameterCount: Int?
    public private(set) var tensors: [Tensor] = []
    /// Of the file; of a checkpoint its first shard's.
    public private(set) var metadata: [(key: String, value: String)] = []
    /// Facts of one kind only, ready to print: quantization, LoRA settings, tokenizer format.
    public private(set) var details: [JSONMember] = []
    /// pruning_plan.json, lists shortened to their lengths.
    public private(set) var plan: JSONValue?
    /// Why a checkpoint cannot be used although its parts can be read.
    public private(set) var problem: String?

    /// - Throws: `FileError` for a path that cannot be read; the errors of the kind that the path claims to be.
    public init(path: String) throws {
        self.path = path
        if FilePath.isDirectory(path) {
            if FilePath.isRegularFile("\(path)/\(Adapter.configName)") {
                kind = .adapter
                try readAdapter()
            } else if FilePath.isRegularFile("\(path)/\(Checkpoint.configName)") {
                let fields = try ConfigFields(file: "\(path)/\(Checkpoint.configName)")
                let isPruned = fields.object["model_type"]?.stringValue == LlamaConfig.prunedModelType
                let hasWeights = Checkpoint.hasWeights(path)
                let hasPlan = FilePath.isRegularFile("\(path)/\(Self.planName)")
                kind = !hasWeights ? .configuration : isPruned || hasPlan ? .prunedCheckpoint : .checkpoint
                if hasWeights {
                    try readCheckpoint()
                } else {
                    try readConfiguration("\(path)/\(Checkpoint.configName)")
                }
            } else if let files = try? CheckpointFiles(directory: path), !files.names.isEmpty {
                kind = .safetensors
                try readFiles(files)
            } else {
                kind = .unknown
            }
            return
        }
        let file = try MappedFile(path: path)
        if path.hasSuffix(".safetensors") || file.withBytes(Self.looksLikeSafetensors) {
            kind = .safetensors
            let contents = try SafetensorsFile(path: path)
            metadata = contents.metadata
            tensors = contents.tensors.map { Tensor(info: $0, file: FilePath.lastComponent(path)) }
            parameterCount = tensors.reduce(0) { $0 + $1.info.elementCount }
        } else if let format = file.withBytes({ Self.tokenizerFormat(path, $0) }) {
            kind = .tokenizer
            details = [JSONMember("format", .string(format)), JSONMember("bytes", .integer(file.count))]
        } else if path.hasSuffix(".json"), let json = try? JSONValue.parse(contentsOf: path), json["model_type"] != nil {
            kind = .configuration
            try readConfiguration(path)
        } else {
            kind = .unknown
            details = [JSONMember("bytes", .integer(file.count))]
        }
    }

    static let planName = "pruning_plan.json"

    // MARK: Kinds

    private mutating func readConfiguration(_ path: String) throws {
        let config = try LlamaConfig(file: path)
        self.config = config
        parameterCount = config.parameterCount
    }

    private mutating func readCheckpoint() throws {
        let checkpoint = try Checkpoint(directory: path, anyQuantization: true)
        config = checkpoint.config
        parameterCount = checkpoint.config.parameterCount
        for (number, name) in checkpoint.shardNames.enumerated() {
            let shard = try checkpoint.shard(number)
            if number == 0 { metadata = shard.metadata }
            tensors += shard.tensors.map { Tensor(info: $0, file: name) }
        }
        if let codec = checkpoint.files.codecName, let sizes = checkpoint.files.packedSizes {
            details.append(JSONMember("codec", .string(codec)))
            details.append(JSONMember("stored_bytes", .integer(sizes.stored)))
            details.append(JSONMember("plain_bytes", .integer(sizes.plain)))
        }
        for key in ["method", "ratio", "quantization_config"] {
            if let value = checkpoint.configuration[key] { details.append(JSONMember(key, value)) }
        }
        do {
            try Checkpoint(directory: path).validate()
        } catch {
            problem = "\(error)"
        }
        let planPath = "\(path)/\(Self.planName)"
        if FilePath.isRegularFile(planPath) {
            plan = Self.shortened(try ConfigFields(file: planPath).object)
        }
    }

    /// Safetensors files that are no model's.
    private mutating func readFiles(_ files: CheckpointFiles) throws {
        for (name, file) in try files.all() {
            if metadata.isEmpty { metadata = file.metadata }
            tensors += file.tensors.map { Tensor(info: $0, file: name) }
        }
        parameterCount = tensors.reduce(0) { $0 + $1.info.elementCount }
        if let codec = files.codecName { details.append(JSONMember("codec", .string(codec))) }
    }

    private mutating func readAdapter() throws {
        let adapter = try Adapter(directory: path)
        metadata = adapter.file.metadata
        tensors = adapter.file.tensors.map { Tensor(info: $0, file: Adapter.weightsName) }
        parameterCount = adapter.modules.reduce(0) { count, module in
            let width = try? adapter.width(of: module)
            return count + adapter.lora.rank * ((width?.in ?? 0) + (width?.out ?? 0))
        }
        details = [
            JSONMember("rank", .integer(adapter.lora.rank)),
            JSONMember("alpha", .double(adapter.lora.alpha)),
            JSONMember("rslora", .bool(adapter.lora.rankStabilized)),
            JSONMember("dropout", .double(adapter.lora.dropout)),
            JSONMember("targets", .array(adapter.lora.targets.map { .string($0.rawValue) })),
            JSONMember("modules", .integer(adapter.modules.count)),
            JSONMember("base_model", adapter.baseModel.map { .string($0) } ?? .null),
        ]
    }

    // MARK: Recognition

    private static func looksLikeSafetensors(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > 8, bytes[8] == UInt8(ascii: "{") else { return false }
        return UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)) <= UInt64(bytes.count - 8)
    }

    /// nil if the file is none of the three that are used with Llamas.
    private static func tokenizerFormat(_ path: String, _ bytes: UnsafeRawBufferPointer) -> String? {
        let name = FilePath.lastComponent(path)
        if name == "tokenizer.json" { return "Hugging Face tokenizers" }
        guard name.hasSuffix(".model"), let first = bytes.first else { return nil }
        // A SentencePiece protobuf starts with field 1, length-delimited; a tiktoken file with a line of base64 and a rank.
        if first == 0x0a { return "SentencePiece" }
        let line = bytes.prefix(256).prefix { $0 != 0x0a }
        let hasRank = line.split(separator: 0x20).count == 2 && line.last.map { (0x30...0x39).contains($0) } == true
        return hasRank ? "tiktoken" : nil
    }

    private static func shortened(_ json: JSONValue) -> JSONValue {
        guard case .object(let members) = json else { return json }
        return .object(
            members.map { member in
                switch member.value {
                case .array(let elements): JSONMember(member.key, .string("\(elements.count) entries"))
                case .object(let inner): JSONMember(member.key, .string("\(inner.count) entries"))
                default: member
                }
            })
    }
}

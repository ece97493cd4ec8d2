/// Writes a PEFT adapter directory, fp32, under a temporary name until `finish()`.
public final class AdapterWriter {
    private let directory: AtomicDirectory
    private let writer: SafetensorsWriter

    /// - Parameters:
    ///   - path: directory to make.
    ///   - tensors: PEFT's names (`AdapterName`) and shapes, in the order in which they will be streamed.
    ///   - baseModel: for `base_model_name_or_path`.
    ///   - extra: more members of adapter_config.json; one of a name that is there already replaces it.
    ///   - replacing: whether an existing directory may be replaced.
    /// - Throws: `FileError`, `SafetensorsError`.
    public init(
        path: String, lora: LoRAConfig, tensors: [(name: String, shape: [Int])], baseModel: String?, extra: [JSONMember] = [],
        replacing: Bool = true
    ) throws {
        directory = try AtomicDirectory(path, replacing: replacing)
        var configuration = Self.configuration(lora, baseModel: baseModel)
        for member in extra { configuration[member.key] = member.value }
        try OutputFile.write(configuration.serializedBytes(pretty: true) + [0x0a], to: directory.path(Adapter.configName))
        writer = try SafetensorsWriter(
            path: directory.path(Adapter.weightsName), tensors: tensors.map { TensorInfo(name: $0.name, dtype: .f32, shape: $0.shape) })
    }

    /// Puts a file that exists into the directory too.
    ///
    /// - Throws: `FileError`.
    public func link(_ name: String, from source: String) throws { try FileSystem.linkOrCopy(source, to: directory.path(name)) }

    /// Appends floats to tensor `name`; tensors come in their declared order, each in any number of pieces.
    ///
    /// - Throws: `SafetensorsError.writtenOutOfOrder`, `FileError.cannotWrite`.
    public func append(_ values: UnsafePointer<Float>, count: Int, to name: String) throws {
        try writer.append(floats: values, count: count, to: name)
    }

    /// - Throws: `SafetensorsError.writtenOutOfOrder` if values are missing; `FileError`.
    public func finish() throws {
        try writer.finish()
        try directory.commit()
    }

    /// Writes a whole adapter from memory.
    ///
    /// - Throws: `FileError`, `SafetensorsError`.
    public static func write(
        to path: String, lora: LoRAConfig, tensors: [(name: String, shape: [Int], values: UnsafePointer<Float>)], baseModel: String?,
        extra: [JSONMember] = [], replacing: Bool = true
    ) throws {
        let writer = try AdapterWriter(
            path: path, lora: lora, tensors: tensors.map { ($0.name, $0.shape) }, baseModel: baseModel, extra: extra, replacing: replacing)
        for tensor in tensors { try writer.append(tensor.values, count: tensor.shape.reduce(1, *), to: tensor.name) }
        try writer.finish()
    }

    /// What PEFT 0.x of any age reads; later fields have defaults there.
    private static func configuration(_ lora: LoRAConfig, baseModel: String?) -> JSONValue {
        [
            "alpha_pattern": [:],
            "base_model_name_or_path": baseModel.map { .string($0) } ?? .null,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": Int(exactly: lora.alpha).map { .integer($0) } ?? .double(lora.alpha),
            "lora_dropout": .double(lora.dropout),
            "modules_to_save": .null,
            "peft_type": "LORA",
            "r": .integer(lora.rank),
            "rank_pattern": [:],
            "target_modules": .array(LinearSite.allCases.filter(lora.targets.contains).map { .string($0.rawValue) }),
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": .bool(lora.rankStabilized),
        ]
    }
}

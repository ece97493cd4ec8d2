/// What a user's `model:` stands for: a checkpoint directory, a preset, or a config.json without weights.
public struct ModelReference: Sendable {
    public enum Origin: Sendable {
        case checkpoint(Checkpoint)
        case synthetic(SyntheticWeights)
    }

    /// As the user wrote it.
    public let name: String
    public let origin: Origin

    public var source: any TensorSource {
        switch origin {
        case .checkpoint(let checkpoint): checkpoint
        case .synthetic(let weights): weights
        }
    }

    public var config: LlamaConfig { source.config }

    /// The checkpoint's directory, from which tokenizer files come; for a bare config.json its directory, for a preset nil.
    public let directory: String?

    /// An existing path wins over a preset of the same name.
    ///
    /// - Parameter syntheticSeed: makes random weights for a preset or a bare config.json; an error where there are weights.
    /// - Throws: `ConfigError`, `CheckpointError`, `FileError`.
    public static func open(_ name: String, syntheticSeed: UInt64? = nil) throws -> ModelReference {
        if FilePath.isDirectory(name), Checkpoint.hasWeights(name) {
            guard syntheticSeed == nil else { throw ConfigError.seedWithWeights(path: name) }
            return ModelReference(name: name, origin: .checkpoint(try Checkpoint(directory: name)), directory: name)
        }
        let config = try config(name)
        guard let syntheticSeed else { throw ConfigError.needsSeed(model: name) }
        let weights = SyntheticWeights(config: config, seed: syntheticSeed)
        return ModelReference(name: name, origin: .synthetic(weights), directory: configPath(name).map(FilePath.parent))
    }

    /// The shape alone, for which no weights are needed.
    ///
    /// - Throws: `ConfigError`, `FileError`.
    public static func config(_ name: String) throws -> LlamaConfig {
        if let path = configPath(name) { return try LlamaConfig(file: path) }
        guard let preset = ModelPreset(rawValue: name) else {
            throw ConfigError.unknownModel(name, presets: ModelPreset.allCases.map(\.rawValue))
        }
        return preset.config
    }

    private static func configPath(_ name: String) -> String? {
        if FilePath.isDirectory(name) { return "\(name)/\(Checkpoint.configName)" }
        return FilePath.exists(name) ? name : nil
    }
}

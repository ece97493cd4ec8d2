/// A PEFT LoRA adapter: adapter_config.json and adapter_model.safetensors in a directory.
///
/// Tensors are mapped, not loaded; those of a packed directory are decoded when they are read. `base_layer.weight`, which PEFT saves beside an adapted lm_head and which would overwrite the
/// base model's, is ignored.
public struct Adapter: Sendable {
    public static let configName = "adapter_config.json"
    public static let weightsName = "adapter_model.safetensors"
    static let namePrefix = "base_model.model."

    /// Rank, scale and targets. Targets are the sites that have tensors, in the order of `LinearSite.allCases`.
    public let lora: LoRAConfig
    public let baseModel: String?
    /// Every adapted layer, in the order of the forward pass; `lm_head` last.
    public let modules: [AdapterModule]
    /// adapter_config.json as it stands.
    public let configuration: JSONValue
    public let file: any TensorFile

    /// Reads and checks a directory: the configuration, the names and shapes of all tensors, and that all values are finite.
    ///
    /// - Throws: `AdapterError`, `SafetensorsError`, `FileError`.
    public init(directory: String) throws {
        let settings = try AdapterSettings(file: "\(directory)/\(Self.configName)")
        file = try CheckpointFiles(directory: directory).open(Self.weightsName)
        let found = try Self.modules(of: file)
        let targets = LinearSite.allCases.filter { site in found.contains { $0.site == site } }
        // Names listed as targets must exist here; a pattern or "all-linear" is what the tensors make of it.
        for site in settings.listedTargets ?? [] where !targets.contains(site) {
            throw AdapterError.missingTensor(path: file.path, tensor: "lora_A and lora_B of target \(site.rawValue)")
        }
        if let listed = settings.listedTargets, let extra = targets.first(where: { !listed.contains($0) }) {
            throw AdapterError.invalid(
                path: settings.path, key: "target_modules", expected: "\(extra.rawValue), which has tensors, among them",
                found: listed.map(\.rawValue).joined(separator: ", "))
        }
        modules = found
        lora = LoRAConfig(
            rank: settings.rank, alpha: settings.alpha, dropout: settings.dropout, rankStabilized: settings.isRankStabilized,
            targets: targets)
        baseModel = settings.baseModel
        configuration = settings.configuration
        try checkShapes()
        try checkValues()
    }

    /// Rows and columns of one of a module's tensors: lora_A [rank, in], lora_B [out, rank].
    public func shape(_ name: String) throws -> [Int] { file.header.entries[try file.index(of: name)].info.shape }

    /// Output and input width of an adapted layer, as the tensors have it.
    public func width(of module: AdapterModule) throws -> (out: Int, in: Int) {
        (try shape(module.bName)[0], try shape(module.aName)[1])
    }

    /// Writes a whole tensor as Float, row-major.
    ///
    /// - Throws: `AdapterError.wrongShape` if it is not of the shape that the caller expects; `SafetensorsError`.
    public func copyFloats(_ name: String, shape: [Int], into destination: UnsafeMutablePointer<Float>) throws {
        let view = try file.tensor(name)
        guard view.shape == shape else {
            throw AdapterError.wrongShape(path: file.path, tensor: name, expected: "\(shape)", found: view.shape)
        }
        try view.copyFloats(into: destination)
    }

    /// Checks that the adapter fits a model, layer by layer.
    ///
    /// - Throws: `AdapterError.wrongShape` for the first layer that does not fit, `.unknownTensor` for one that the model has not.
    public func validate(for config: LlamaConfig) throws {
        for module in modules {
            guard module.layer < config.layerCount else {
                throw AdapterError.invalid(
                    path: file.path, key: module.aName, expected: "a layer below \(config.layerCount)", found: "\(module.layer)")
            }
            let (out, input) = module.site.shape(in: config, layer: module.layer)
            try check(module.aName, [lora.rank, input])
            try check(module.bName, [out, lora.rank])
        }
    }

    // MARK: Checks

    private static func modules(of file: any TensorFile) throws -> [AdapterModule] {
        var found: Set<AdapterModule> = []
        for tensor in file.tensors {
            guard !tensor.name.hasSuffix(".base_layer.weight") else { continue }
            guard let module = module(of: tensor.name) else {
                throw AdapterError.unknownTensor(path: file.path, tensor: tensor.name)
            }
            found.insert(module)
        }
        for module in found {
            for name in [module.aName, module.bName] where !file.contains(name) {
                throw AdapterError.missingTensor(path: file.path, tensor: name)
            }
        }
        guard !found.isEmpty else { throw AdapterError.noTensors(path: file.path) }
        let order = Dictionary(uniqueKeysWithValues: LinearSite.allCases.enumerated().map { ($1, $0) })
        func key(_ module: AdapterModule) -> (Int, Int) { (module.site == .lmHead ? Int.max : module.layer, order[module.site]!) }
        return found.sorted { key($0) < key($1) }
    }

    private static func module(of tensor: String) -> AdapterModule? {
        guard tensor.hasPrefix(namePrefix) else { return nil }
        let rest = tensor.dropFirst(namePrefix.count)
        for suffix in [".lora_A.weight", ".lora_B.weight"] where rest.hasSuffix(suffix) {
            return AdapterModule(modulePath: rest.dropLast(suffix.count))
        }
        return nil
    }

    /// Both factors of every module have the configured rank.
    private func checkShapes() throws {
        for module in modules {
            let a = try shape(module.aName)
            guard a.count == 2, a[0] == lora.rank, a[1] > 0 else {
                throw AdapterError.wrongShape(path: file.path, tensor: module.aName, expected: "[\(lora.rank), in]", found: a)
            }
            let b = try shape(module.bName)
            guard b.count == 2, b[0] > 0, b[1] == lora.rank else {
                throw AdapterError.wrongShape(path: file.path, tensor: module.bName, expected: "[out, \(lora.rank)]", found: b)
            }
        }
    }

    private func check(_ name: String, _ expected: [Int]) throws {
        let found = try shape(name)
        guard found == expected else {
            throw AdapterError.wrongShape(path: file.path, tensor: name, expected: "\(expected) as the model has it", found: found)
        }
    }

    private func checkValues() throws {
        let pieceCount = 1 << 16
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: pieceCount)
        defer { buffer.deallocate() }
        for name in modules.flatMap({ [$0.aName, $0.bName] }) {
            let view = try file.tensor(name)
            let count = view.info.elementCount
            var start = 0
            while start < count {
                let piece = min(pieceCount, count - start)
                try view.copyFloats(start..<start + piece, into: buffer)
                if let offset = FloatConversion.firstNonFinite(buffer, count: piece) {
                    throw AdapterError.nonFinite(path: file.path, tensor: name, element: start + offset)
                }
                start += piece
            }
            release(name)
        }
    }

    /// Says that a tensor's bytes are not needed again soon: the adapter of a large model takes hundreds of MiB.
    func release(_ name: String) {
        guard let entry = file.header.index(of: name) else { return }
        file.release(entry, 0..<file.header.entries[entry].info.byteCount)
    }
}

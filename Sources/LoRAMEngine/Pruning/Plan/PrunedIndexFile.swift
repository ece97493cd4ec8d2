/// Lists of pruned indices as LoRAM's authors keep them, converted to JSON or safetensors: per layer the pruned rows of gate_proj (MLP
/// channels) and of k_proj (channels of key-value heads, whole heads).
///
/// Accepted, where N is a layer's number from 0:
/// - JSON `{"gate_proj": [[...], ...], "k_proj": [[...], ...]}`: one list a layer, empty for a layer that stays whole; or objects `{"N": [...]}`;
/// - JSON or safetensors (any integer type, one dimension) whose names have the layer's number and the projection among their parts, such as
///   `model.layers.N.mlp.gate_proj` or `N.k_proj`.
///
/// A layer that is not named stays whole.
public struct PrunedIndexFile: Sendable {
    public let path: String
    /// [layer: pruned indices], not checked against a model yet.
    private var lists: [LinearSite: [Int: [Int]]] = [.gate: [:], .k: [:]]

    /// - Throws: `PruningError.badPlan`, `SafetensorsError`.
    public init(_ file: SafetensorsFile) throws {
        path = file.path
        for tensor in file.tensors {
            guard let (site, layer) = Self.address(tensor.name) else { throw unknown(tensor.name) }
            guard tensor.shape.count == 1 else {
                throw PruningError.badPlan(path: path, item: tensor.name, expected: "a list of indices", found: "shape \(tensor.shape)")
            }
            try set(site, layer, try Self.integers(try file.tensor(tensor.name), path: path), tensor.name)
        }
        try requireAny()
    }

    /// - Throws: `PruningError.badPlan`.
    public init(_ document: JSONValue, path: String) throws {
        self.path = path
        for member in document.objectMembers ?? [] {
            if let (site, layer) = Self.address(member.key) {
                try set(site, layer, try indices(member.value, member.key), member.key)
            } else if let site = Self.site(member.key), let layers = member.value.arrayValue {
                for (layer, list) in layers.enumerated() { try set(site, layer, try indices(list, "\(member.key)[\(layer)]"), member.key) }
            } else if let site = Self.site(member.key), let layers = member.value.objectMembers {
                for entry in layers {
                    guard let layer = Int(entry.key), layer >= 0 else { throw unknown("\(member.key).\(entry.key)") }
                    try set(site, layer, try indices(entry.value, "\(member.key).\(entry.key)"), "\(member.key).\(entry.key)")
                }
            } else {
                throw unknown(member.key)
            }
        }
        try requireAny()
    }

    /// The plan that these lists mean for a model. Its ratio is the share of MLP channels that goes from the pruned layers.
    ///
    /// - Throws: `PruningError.badPlan` for indices outside the model, repeated ones, parts of heads, or a layer left with nothing;
    ///   `.notUniform`.
    public func plan(config: LlamaConfig, method: PruningRecipe.Method, seed: UInt64) throws -> PruningPlan {
        guard config.isUniform, let geometry = config.layers.first else { throw PruningError.notUniform }
        for (site, layers) in lists {
            if let beyond = layers.keys.max(), beyond >= config.layerCount {
                throw PruningError.badPlan(
                    path: path, item: "\(site.rawValue) of layer \(beyond)", expected: "layers below \(config.layerCount), as the model has",
                    found: "layer \(beyond)")
            }
        }
        var prunedChannels = 0, prunedLayers: [Int] = []
        let layers = try (0..<config.layerCount).map { layer in
            let gone = try checked(.gate, layer, below: geometry.intermediateSize)
            let goneKeys = try checked(.k, layer, below: geometry.keyValueHeadCount * config.headDim)
            let heads = try wholeHeads(goneKeys, layer: layer, headDim: config.headDim)
            for (site, count, all) in [(LinearSite.gate, gone.count, geometry.intermediateSize), (.k, heads.count, geometry.keyValueHeadCount)]
            where count == all {
                throw PruningError.badPlan(
                    path: path, item: "\(site.rawValue) of layer \(layer)", expected: "a list that leaves something", found: "all \(all) pruned")
            }
            if !gone.isEmpty || !heads.isEmpty { prunedLayers.append(layer) }
            prunedChannels += gone.count
            return PruningPlan.Layer(
                keyValueHeads: (0..<geometry.keyValueHeadCount).filter { !heads.contains($0) },
                channels: (0..<geometry.intermediateSize).filter { !gone.contains($0) })
        }
        let first = prunedLayers.first ?? config.layerCount, last = prunedLayers.last ?? config.layerCount - 1
        return PruningPlan(
            method: method.rawValue, ratio: Double(prunedChannels) / Double(max(prunedLayers.count, 1) * geometry.intermediateSize), seed: seed,
            keepFirst: first, keepLast: config.layerCount - 1 - last, sourceConfigHash: config.identityHash, sourceGeometry: geometry,
            headDim: config.headDim, layers: layers)
    }

    private func checked(_ site: LinearSite, _ layer: Int, below limit: Int) throws -> Set<Int> {
        let list = lists[site]?[layer] ?? []
        var set = Set<Int>()
        for index in list {
            guard 0..<limit ~= index, set.insert(index).inserted else {
                throw PruningError.badPlan(
                    path: path, item: "\(site.rawValue) of layer \(layer)", expected: "different indices in 0 ..< \(limit)", found: "\(index)")
            }
        }
        return set
    }

    private func wholeHeads(_ channels: Set<Int>, layer: Int, headDim: Int) throws -> Set<Int> {
        let heads = Set(channels.map { $0 / headDim })
        guard heads.count * headDim == channels.count else {
            throw PruningError.badPlan(
                path: path, item: "k_proj of layer \(layer)", expected: "all \(headDim) channels of every pruned head",
                found: "\(channels.count) channels of \(heads.count) heads")
        }
        return heads
    }

    private mutating func set(_ site: LinearSite, _ layer: Int, _ indices: [Int], _ name: String) throws {
        guard lists[site]!.updateValue(indices, forKey: layer) == nil else {
            throw PruningError.badPlan(path: path, item: name, expected: "one list a layer and projection", found: "another for layer \(layer)")
        }
    }

    private func indices(_ value: JSONValue, _ name: String) throws -> [Int] {
        if value.isNull { return [] }
        guard let elements = value.arrayValue else {
            throw PruningError.badPlan(path: path, item: name, expected: "a list of indices", found: value.kindDescription)
        }
        return try elements.map { element in
            guard let index = element.intValue else {
                throw PruningError.badPlan(path: path, item: name, expected: "a list of indices", found: "\(element.kindDescription) in it")
            }
            return index
        }
    }

    private static func integers(_ view: TensorView, path: String) throws -> [Int] {
        let width = view.dtype.byteCount
        return try view.withBytes { bytes in
            try (0..<view.info.elementCount).map { element in
                let at = element * width
                switch view.dtype {
                case .u8: return Int(bytes[at])
                case .i16: return Int(bytes.loadUnaligned(fromByteOffset: at, as: Int16.self))
                case .u16: return Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
                case .i32: return Int(bytes.loadUnaligned(fromByteOffset: at, as: Int32.self))
                case .u32: return Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
                case .i64: return Int(bytes.loadUnaligned(fromByteOffset: at, as: Int64.self))
                case .u64: return Int(clamping: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                default:
                    throw PruningError.badPlan(path: path, item: view.name, expected: "an integer type", found: view.dtype.rawValue)
                }
            }
        }
    }

    private func unknown(_ name: String) -> PruningError {
        .badPlan(path: path, item: String(name.prefix(120)), expected: "gate_proj or k_proj, with a layer's number", found: "another name")
    }

    private func requireAny() throws {
        guard !lists[.gate]!.isEmpty || !lists[.k]!.isEmpty else {
            throw PruningError.badPlan(path: path, item: "content", expected: "lists for gate_proj and k_proj", found: "none")
        }
    }

    private static func site(_ name: String) -> LinearSite? {
        let parts = name.split(separator: ".")
        return parts.contains("gate_proj") ? .gate : parts.contains("k_proj") ? .k : nil
    }

    /// `model.layers.7.self_attn.k_proj.weight` as (k, 7).
    private static func address(_ name: String) -> (LinearSite, Int)? {
        guard let site = site(name) else { return nil }
        let numbers = name.split(separator: ".").compactMap { Int($0) }.filter { $0 >= 0 }
        return numbers.count == 1 ? (site, numbers[0]) : nil
    }
}

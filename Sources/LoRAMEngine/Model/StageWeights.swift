/// A stage's weights in memory: frozen matrices where `FrozenWeights` put them, trained ones in `TrainedWeights`.
struct StageWeights {
    let frozen: FrozenWeights
    let weights: TrainedWeights
    let layout: ParameterLayout
    private let trained: [String: ParameterLayout.Tensor]

    init(source: any TensorSource, range: StageRange, training: Training, trainedType: DType, storage: WeightStorage, pool: ThreadPool) throws {
        let config = source.config
        let names = Self.weights(of: range, config)
        layout = ParameterLayout(ModelStage.trainedTensors(config: config, range: range, training: training))
        let weights = try TrainedWeights(layout, dtype: trainedType)
        self.weights = weights
        trained = Dictionary(uniqueKeysWithValues: layout.tensors.map { ($0.name, $0) })
        for (name, shape) in names {
            guard let tensor = trained[name] else { continue }
            try source.readFloats(tensor.tiedTo ?? name, shape: shape, elements: 0..<tensor.count) {
                weights.store($0, at: tensor.offset + $1.lowerBound..<tensor.offset + $1.upperBound, pool: pool)
            }
        }
        weights.refreshGains()
        frozen = try FrozenWeights(
            source: source, tensors: names.filter { !Self.isTrained($0.name, training, config) }, storage: storage, pool: pool)
    }

    /// Sets the trained tensors, which are LoRA factors, from an adapter.
    ///
    /// - Throws: `AdapterError` for a missing tensor or another shape.
    func fill(from adapter: Adapter) throws {
        for tensor in layout.tensors {
            try adapter.copyFloats(tensor.name, shape: tensor.shape, into: weights.floats + tensor.offset)
            adapter.release(tensor.name)
        }
    }

    /// A norm's gain.
    func vector(_ name: String) -> UnsafePointer<Float> {
        if let tensor = trained[name] { return weights.vector(tensor) }
        return frozen.vector(name)
    }

    func matrix(_ name: String) -> WeightMatrix {
        trained[name].map(weights.matrix) ?? frozen.matrix(name)
    }

    func gradientOffset(_ name: String) -> Int? { trained[name]?.offset }

    func linear(_ site: LinearSite, layer: Int, config: LlamaConfig, training: Training, seed: UInt64, masks: StageMasks?) -> Linear {
        let name = site.modulePath(layer: layer) + ".weight"
        var lowRank: Linear.LowRank?
        if let lora = training.lora, lora.targets.contains(site) {
            let a = trained[AdapterName.a(site, layer: layer)]!.offset, b = trained[AdapterName.b(site, layer: layer)]!.offset
            lowRank = Linear.LowRank(
                rank: lora.rank, scale: lora.scale, a_RI: UnsafePointer(weights.floats + a), b_OR: UnsafePointer(weights.floats + b), aGradientOffset: a,
                bGradientOffset: b, dropoutKey: DropoutRate.key(seed: seed, layer: layer, site: site), mask: site == .lmHead ? nil : masks?.bits(site, layer: layer))
        }
        return Linear(weight_OI: matrix(name), weightGradientOffset: gradientOffset(name), lowRank: lowRank)
    }

    /// Where the trained tensors of each layer, and last those of the head, begin in the layout.
    func firstOffsets(_ range: StageRange) -> [Int] {
        var offsets = [layout.count]
        let head = layout.tensors.first { $0.name == WeightName.finalNorm || $0.name.contains(LinearSite.lmHead.rawValue) }
        offsets[0] = head?.offset ?? layout.count
        for layer in range.layers.reversed() {
            let first = layout.tensors.first { $0.name.contains("model.layers.\(layer).") }
            offsets.append(first?.offset ?? offsets.last!)
        }
        return offsets.reversed()
    }

    /// Names and shapes of a stage's weights. A tied head appears as `lm_head.weight` on the last stage.
    static func weights(of range: StageRange, _ config: LlamaConfig) -> [(name: String, shape: [Int])] {
        let D = config.hiddenSize
        var result: [(String, [Int])] = []
        if range.isFirst { result.append((WeightName.embedding, [config.vocabularySize, D])) }
        for layer in range.layers {
            result.append((WeightName.inputNorm(layer: layer), [D]))
            result.append((WeightName.postAttentionNorm(layer: layer), [D]))
            for site in LinearSite.inLayer {
                let shape = site.shape(in: config, layer: layer)
                result.append((site.modulePath(layer: layer) + ".weight", [shape.out, shape.in]))
            }
        }
        if range.isLast {
            result.append((WeightName.finalNorm, [D]))
            result.append((WeightName.lmHead, [config.vocabularySize, D]))
        }
        return result
    }

    /// Names and shapes of an adapter's tensors on a stage.
    static func adapterTensors(_ lora: LoRAConfig, _ range: StageRange, _ config: LlamaConfig) -> [(name: String, shape: [Int])] {
        var result: [(String, [Int])] = []
        func add(_ site: LinearSite, _ layer: Int) {
            let shape = site.shape(in: config, layer: layer)
            result.append((AdapterName.a(site, layer: layer), [lora.rank, shape.in]))
            result.append((AdapterName.b(site, layer: layer), [shape.out, lora.rank]))
        }
        for layer in range.layers { for site in LinearSite.inLayer where lora.targets.contains(site) { add(site, layer) } }
        if range.isLast, lora.targets.contains(.lmHead) { add(.lmHead, 0) }
        return result
    }

    /// Freezing either end of a tied pair freezes both.
    static func isTrained(_ name: String, _ training: Training, _ config: LlamaConfig) -> Bool {
        guard case .dense(let frozen) = training else { return false }
        let tied = config.tiesWordEmbeddings && (name == WeightName.lmHead || name == WeightName.embedding)
        let names = tied ? [WeightName.lmHead, WeightName.embedding] : [name]
        return !frozen.contains { pattern in names.contains { pattern.matches($0) } }
    }
}

extension ModelStage {
    /// Names and shapes of what a stage trains (or, when evaluating, of its adapter), in the order of its layout.
    public static func trainedTensors(
        config: LlamaConfig, range: StageRange, training: Training
    ) -> [(name: String, shape: [Int], tiedTo: String?)] {
        let dense = StageWeights.weights(of: range, config).filter { StageWeights.isTrained($0.name, training, config) }
            .map { (name: $0.name, shape: $0.shape, tiedTo: config.tiesWordEmbeddings && $0.name == WeightName.lmHead ? WeightName.embedding : nil) }
        let adapter = training.lora.map { StageWeights.adapterTensors($0, range, config) } ?? []
        return dense + adapter.map { (name: $0.name, shape: $0.shape, tiedTo: nil) }
    }
}

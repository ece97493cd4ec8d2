import LoRAMEngine
import TestSupport
import Testing

@Suite struct MergePlanTests {
    let work: TemporaryDirectory

    init() throws { work = try TemporaryDirectory() }

    /// A base of random weights in a type, and an adapter that fits it.
    func base(_ dtype: DType, tied: Bool = false, name: String = "base") throws -> Checkpoint {
        var config = SmallModel.config()
        config.dtype = dtype
        config.tiesWordEmbeddings = tied
        let source = SyntheticWeights(config: config, seed: 3), weights = WeightLayout.names(config)
        let writer = try CheckpointWriter(
            path: work.path(name), tensors: weights.map { TensorInfo(name: $0.name, dtype: dtype, shape: $0.shape) },
            configuration: config.configJSON(), maxShardByteCount: 1 << 14)
        for (name, shape) in weights {
            var values = [Float](repeating: 0, count: shape.reduce(1, *))
            try source.copyFloats(name, shape: shape, rows: nil, into: &values)
            try writer.append(floats: values, count: values.count, to: name)
        }
        try writer.finish()
        return try Checkpoint(directory: work.path(name))
    }

    func adapter(_ config: LlamaConfig, targets: [LinearSite]) throws -> Adapter {
        let lora = LoRAConfig(rank: 3, alpha: 7, targets: targets)
        var tensors: [(name: String, shape: [Int])] = []
        for module in AdapterModule.all(targets: targets, config: config) {
            let shape = module.site.shape(in: config, layer: module.layer)
            tensors += [(module.aName, [3, shape.in]), (module.bName, [shape.out, 3])]
        }
        let writer = try AdapterWriter(path: work.path("adapter"), lora: lora, tensors: tensors, baseModel: "m")
        for (name, shape) in tensors {
            var values = [Float](repeating: 0, count: shape.reduce(1, *))
            CounterRandom(seed: 11, name: name).fillNormal(&values, count: values.count, deviation: 0.1)
            try writer.append(values, count: values.count, to: name)
        }
        try writer.finish()
        return try Adapter(directory: work.path("adapter"))
    }

    @discardableResult
    func merge(_ plan: MergePlan, _ codec: RecoveryRecipe.Codec, _ name: String) throws -> String {
        let merger = try CheckpointMerger(plan, to: work.path(name), codec: codec, hashes: true, pool: ThreadPool(threadCount: 2))
        let directory = try AtomicDirectory(work.path(name), resumable: true)
        for share in merger.shares(3) { for file in share { try merger.store(file) { _ in } } }
        _ = try merger.finish(directory)
        return work.path(name)
    }

    /// bf16(float(W) + s B A), the sum in ascending rank, written out again.
    func expected(_ base: Checkpoint, _ adapter: Adapter, _ module: AdapterModule, mask: (Int) -> Float = { _ in 1 }) throws -> [UInt16] {
        let shape = module.site.shape(in: base.config, layer: module.layer), rank = adapter.lora.rank
        var w = [Float](repeating: 0, count: shape.out * shape.in), a = [Float](repeating: 0, count: rank * shape.in), b = [Float](repeating: 0, count: shape.out * rank)
        let tied = base.config.tiesWordEmbeddings && module.site == .lmHead
        let name = tied ? WeightName.embedding : "\(module.site.modulePath(layer: module.layer)).weight"
        try base.copyFloats(name, shape: [shape.out, shape.in], rows: nil, into: &w)
        try adapter.copyFloats(module.aName, shape: [rank, shape.in], into: &a)
        try adapter.copyFloats(module.bName, shape: [shape.out, rank], into: &b)
        return w.indices.map { i in
            var sum: Float = 0
            for r in 0..<rank { sum = sum + b[i / shape.in * rank + r] * a[r * shape.in + i % shape.in] }
            return FloatConversion.bf16(w[i] + adapter.lora.scale * mask(i) * sum)
        }
    }

    func bf16(_ checkpoint: Checkpoint, _ name: String) throws -> [UInt16] {
        let view = try checkpoint.tensor(name)
        #expect(view.dtype == .bf16)
        return view.withBytes { bytes in (0..<bytes.count / 2).map { bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self) } }
    }

    @Test(arguments: [DType.f32, .f16, .bf16], [true, false])
    func mergedWeightsAreRoundedOnceAndTheRestIsUntouched(dtype: DType, tied: Bool) throws {
        let base = try base(dtype, tied: tied), adapter = try adapter(base.config, targets: [.q, .o, .down, .lmHead])
        let merged = try Checkpoint(directory: merge(MergePlan(base: base, adapter: adapter), .planes, "model"))
        try merged.validate()
        #expect(!merged.config.tiesWordEmbeddings && merged.shardNames == base.shardNames)
        var touched: Set<String> = []
        for module in adapter.modules {
            let name = "\(module.site.modulePath(layer: module.layer)).weight"
            touched.insert(name)
            #expect(try bf16(merged, name) == expected(base, adapter, module), "\(name)")
        }
        for name in try base.tensorNames() where !touched.contains(name) {
            let a = try base.tensor(name), b = try merged.tensor(name)
            #expect(a.info == b.info && a.withBytes { Array($0) } == b.withBytes { Array($0) }, "\(name)")
        }
        #expect(try Set(merged.tensorNames()) == Set(base.tensorNames()).union(touched))
    }

    @Test func everyCodecHasTheSameBits() throws {
        let base = try base(.bf16), adapter = try adapter(base.config, targets: LinearSite.allCases)
        let plan = try MergePlan(base: base, adapter: adapter)
        let plain = try merge(plan, .none, "none")
        for codec in [RecoveryRecipe.Codec.planes, .zstd, .base] {
            let stored = try merge(plan, codec, "stored-\(codec.rawValue)")
            _ = try StorageRun.verify(stored, threads: 2)
            #expect(try TensorDiff.compare(plain, stored).differences.isEmpty)
            _ = try StorageRun.unpack(stored, to: work.path("u-\(codec.rawValue)"), threads: 2)
            #expect(try PackFixture.contents(work.path("u-\(codec.rawValue)")) == PackFixture.contents(plain))
        }
        // From a packed base too.
        _ = try PackFixture.pack(work.path("base"), work.path("packed"))
        let other = try merge(MergePlan(base: Checkpoint(directory: work.path("packed")), adapter: adapter), .none, "other")
        #expect(try PackFixture.contents(other) == PackFixture.contents(plain))
    }

    @Test func aChangedOriginalIsNotTakenForTheOriginal() throws {
        let base = try base(.bf16), adapter = try adapter(base.config, targets: [.v])
        let stored = try merge(MergePlan(base: base, adapter: adapter), .base, "b")
        let shard = work.path("base/\(base.shardNames[0])"), original = try FileSystem.read(shard)
        try PackFixture.flip(shard, byte: original.count - 1)
        guard case .otherBase? = caught(CompressionError.self, { _ = try StorageRun.verify(stored, threads: 1) }) else { return #expect(Bool(false)) }
        try OutputFile.write(original, to: shard)
        try PackFixture.flip("\(stored)/adapter/adapter_model.safetensors", byte: 5000)
        guard case .wrongHash? = caught(CompressionError.self, { _ = try Checkpoint(directory: stored) }) else { return #expect(Bool(false)) }
        try FileSystem.rename(work.path("base"), to: work.path("moved"))
        guard case .missingBase? = caught(CompressionError.self, { _ = try Checkpoint(directory: stored) }) else { return #expect(Bool(false)) }
    }

    @Test func quantizedBasesAreDequantized() throws {
        let base = try Checkpoint(directory: NF4Fixture.path("double"))
        for (number, targets) in [[LinearSite.q, .up], LinearSite.inLayer].enumerated() {
            let adapter = try adapter(base.config, targets: targets)
            let merged = try Checkpoint(directory: merge(MergePlan(base: base, adapter: adapter), .zstd, "model-\(number)"))
            try merged.validate()
            for module in adapter.modules {
                #expect(try bf16(merged, "\(module.site.modulePath(layer: module.layer)).weight") == expected(base, adapter, module))
            }
            // What was not adapted stays in 4 bit, and config.json says so as long as there is any.
            #expect((merged.quantization != nil) == (targets.count < 7))
            let v = "model.layers.0.self_attn.v_proj.weight"
            if targets.count < 7 { #expect(bits(try #require(try merged.nf4(v)).floats()) == bits(try #require(try base.nf4(v)).floats())) }
        }
    }

    @Test func aMaskMultipliesTheDelta() throws {
        struct Stripes: DeltaMask {
            func copyMultipliers(_ name: String, _ elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) -> Bool {
                guard name.contains("q_proj") else { return false }
                for (i, element) in elements.enumerated() { destination[i] = element % 3 == 0 ? 0 : 1 }
                return true
            }
        }
        let base = try base(.bf16), adapter = try adapter(base.config, targets: [.q, .k])
        let merged = try Checkpoint(directory: merge(MergePlan(base: base, adapter: adapter, mask: Stripes()), .none, "model"))
        for module in adapter.modules {
            let expected = try expected(base, adapter, module) { module.site == .q && $0 % 3 == 0 ? 0 : 1 }
            #expect(try bf16(merged, "\(module.site.modulePath(layer: module.layer)).weight") == expected)
        }
    }

    @Test func anAdapterOfAnotherModelIsRefused() throws {
        let base = try base(.bf16)
        var other = SmallModel.config()
        other.hiddenSize *= 2
        let adapter = try adapter(other, targets: [.q])
        guard case .wrongShape? = caught(AdapterError.self, { _ = try MergePlan(base: base, adapter: adapter) }) else { return #expect(Bool(false)) }
    }
}

import LoRAMEngine
import TestSupport
import Testing

@Suite struct StructuredPrunerTests {
    let directory: TemporaryDirectory
    var source: String { directory.path("source") }
    var output: String { directory.path("pruned") }

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// Rows and columns picked one element at a time.
    func gathered(_ view: TensorView, rows: [Range<Int>]?, columns: [Range<Int>]?) -> [UInt8] {
        let size = view.dtype.byteCount
        let width = view.shape.count > 1 ? view.shape[1] : 1
        var bytes: [UInt8] = []
        for row in (rows ?? [0..<view.shape[0]]).flatMap({ Array($0) }) {
            for column in (columns ?? [0..<width]).flatMap({ Array($0) }) {
                bytes.append(contentsOf: view.bytes[((row * width + column) * size)..<((row * width + column + 1) * size)])
            }
        }
        return bytes
    }

    func check(_ config: LlamaConfig, plan: PruningPlan) throws {
        let whole = try Checkpoint(directory: source)
        let part = try Checkpoint(directory: output)
        try part.validate()
        #expect(part.config == (try plan.prunedConfig(of: config)))
        #expect(part.configuration["model_type"] == "loram_llama")
        #expect(part.configuration["method"] == "rand" && part.configuration["ratio"] == .double(plan.ratio))
        #expect(try PruningPlan.beside(checkpoint: output) == plan)
        #expect(FilePath.isRegularFile("\(output)/modeling_loram.py"))
        var sites: [String: (LinearSite, Int)] = [:]
        for layer in 0..<config.layerCount {
            for site in LinearSite.inLayer { sites["\(site.modulePath(layer: layer)).weight"] = (site, layer) }
        }
        #expect(try part.tensorNames() == WeightLayout.names(config).map(\.name))
        for name in try part.tensorNames() {
            let before = try whole.tensor(name)
            let after = try part.tensor(name)
            #expect(after.dtype == before.dtype)
            let kept = sites[name].map { plan.keptRanges($0.0, layer: $0.1) } ?? (nil, nil)
            #expect(Array(after.bytes) == gathered(before, rows: kept.0, columns: kept.1), "\(name)")
        }
    }

    @Test(arguments: [DType.bf16, .f16, .f32], [false, true])
    func everyKeptBitStays(dtype: DType, tied: Bool) throws {
        let config = SmallModel.config(tied: tied, dtype: dtype)
        try SmallModel.write(config, to: source)
        let plan = try SmallModel.plan(config)
        var calls: [Int] = []
        try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: output) { done, total in
            calls.append(done)
            #expect(done <= total)
        }
        #expect(calls.count == WeightLayout.names(config).count && calls == calls.sorted())
        try check(config, plan: plan)
    }

    @Test func shardsAreReadAsOne() throws {
        let config = SmallModel.config()
        try SmallModel.write(config, to: source, maxShardByteCount: 4000)
        #expect(try Checkpoint(directory: source).shardNames.count > 3)
        let plan = try SmallModel.plan(config)
        try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: output)
        try check(config, plan: plan)
    }

    /// A random model is pruned as its checkpoint would be.
    @Test func syntheticWeightsAreTheCheckpoints() throws {
        let config = SmallModel.config()
        let plan = try SmallModel.plan(config)
        try SmallModel.write(config, to: source)
        try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: output)
        try FileSystem.createDirectory(directory.path("bare"))
        try FileSystem.write(config.configJSON().serialized(), to: directory.path("bare/config.json"))
        try StructuredPruner.prune(
            try ModelReference.open(directory.path("bare"), syntheticSeed: 3), plan: plan, to: directory.path("synthetic"))
        #expect(try FileSystem.read("\(output)/model.safetensors") == FileSystem.read(directory.path("synthetic/model.safetensors")))
    }

    @Test func tokenizerFilesCome() throws {
        try SmallModel.write(SmallModel.config(), to: source)
        try FileSystem.write("tokens", to: "\(source)/tokenizer.model")
        try FileSystem.write("{{ messages }}", to: "\(source)/chat_template.jinja")
        try FileSystem.write("{}", to: "\(source)/added_tokens.json")
        try FileSystem.write("secret", to: "\(source)/other.txt")
        try StructuredPruner.prune(try ModelReference.open(source), plan: try SmallModel.plan(), to: output)
        #expect(try FileSystem.read("\(output)/tokenizer.model") == Array("tokens".utf8))
        #expect(try FileSystem.read("\(output)/chat_template.jinja") == Array("{{ messages }}".utf8))
        #expect(FilePath.exists("\(output)/added_tokens.json") && !FilePath.exists("\(output)/other.txt"))
    }

    /// What we do not keep of config.json survives random pruning, but for what is no longer so.
    @Test func otherKeysOfConfigStay() throws {
        let config = SmallModel.config(), plan = try SmallModel.plan()
        try SmallModel.write(config, to: source)
        var json = try JSONValue.parse(contentsOf: "\(source)/config.json")
        for (key, value) in [
            ("pad_token_id", 0), ("pretraining_tp", 1), ("some_key", ["a": [1, 2]]), ("initializer_range", 0.01), ("use_cache", false),
            ("dtype", "bfloat16"), ("rope_parameters", ["rope_theta": 10000.0, "rope_type": "default"]), ("transformers_version", "4.40.0"),
        ] as [(String, JSONValue)] { json[key] = value }
        try FileSystem.write(json.serialized(), to: "\(source)/config.json")
        try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: output)
        try check(config, plan: plan)
        let found = try Checkpoint(directory: output).configuration
        #expect(found["pad_token_id"] == 0 && found["some_key"] == ["a": [1, 2]] && found["transformers_version"] == "4.40.0")
        #expect(found["initializer_range"] == 0.01 && found["use_cache"] == false && found["attention_dropout"]?.doubleValue == 0)
        #expect(["pretraining_tp", "dtype", "rope_parameters"].allSatisfy { found[$0] == nil })
    }

    @Test func anExistingOutputIsRefusedUnlessReplaced() throws {
        try SmallModel.write(SmallModel.config(), to: source)
        let model = try ModelReference.open(source)
        let plan = try SmallModel.plan()
        try FileSystem.createDirectory("\(output)/something")
        #expect(throws: FileError.self) { try StructuredPruner.prune(model, plan: plan, to: output) }
        #expect(try FilePath.names(inDirectory: output) == ["something"])
        try StructuredPruner.prune(model, plan: plan, to: output, replacing: true)
        try check(SmallModel.config(), plan: plan)
    }

    @Test func anotherModelsPlanIsRefused() throws {
        try SmallModel.write(SmallModel.config(), to: source)
        let plan = try SmallModel.plan(SmallModel.config(theta: 5))
        #expect {
            try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: output)
        } throws: { error in
            if case .otherModel? = error as? PruningError { true } else { false }
        }
        #expect(try FilePath.names(inDirectory: directory.path) == ["source"])
    }

    /// One NaN among the kept weights: no output, nothing left behind.
    @Test func brokenWeightsLeaveNoOutput() throws {
        let plan = try SmallModel.plan()
        let channel = plan.layers[3].channels[0]
        try SmallModel.write(SmallModel.config(), to: source) { name, values in
            if name == "model.layers.3.mlp.up_proj.weight" { values[channel * SmallModel.config().hiddenSize] = .nan }
        }
        #expect {
            try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: output)
        } throws: { error in
            if case .nonFinite(_, "model.layers.3.mlp.up_proj.weight")? = error as? PruningError { true } else { false }
        }
        #expect(try FilePath.names(inDirectory: directory.path) == ["source"])
    }

    @Test func aCutCheckpointLeavesNoOutput() throws {
        try SmallModel.write(SmallModel.config(), to: source)
        let bytes = try FileSystem.read("\(source)/model.safetensors")
        try OutputFile.write(Array(bytes.dropLast(10)), to: "\(source)/model.safetensors")
        #expect(throws: SafetensorsError.self) {
            try StructuredPruner.prune(try ModelReference.open(source), plan: try SmallModel.plan(), to: output)
        }
        #expect(try FilePath.names(inDirectory: directory.path) == ["source"])
    }

    /// Blocks are cut where the buffer ends, also inside a run of rows: matrices of 9 MB and more against blocks of 8.
    @Test func tensorsLargerThanABlock() throws {
        var config = SmallModel.config(dtype: .f32)
        config.vocabularySize = 80_000
        config.layers = Array(repeating: LayerGeometry(headCount: 8, keyValueHeadCount: 4, intermediateSize: 120_000), count: 1)
        let plan = try RandomPruning.plan(config: config, ratio: 0.4, keepFirst: 0, keepLast: 0, seed: 1)
        try SmallModel.write(config, to: source)
        try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: output)
        let whole = try Checkpoint(directory: source)
        let part = try Checkpoint(directory: output)
        for (name, site) in [("model.embed_tokens.weight", nil), ("model.layers.0.mlp.up_proj.weight", LinearSite.up), ("model.layers.0.mlp.down_proj.weight", .down)] {
            let kept = site.map { plan.keptRanges($0, layer: 0) } ?? (nil, nil)
            #expect(Array(try part.tensor(name).bytes) == gathered(try whole.tensor(name), rows: kept.0, columns: kept.1), "\(name)")
        }
    }
}

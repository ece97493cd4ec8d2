import LoRAMEngine
import TestSupport
import Testing

/// Whole checkpoints.
@Suite struct QuantizerTests {
    let directory: TemporaryDirectory
    var source: String { directory.path("source") }
    var output: String { directory.path("quantized") }

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// Every tensor of transformers' own 4-bit checkpoint, the states' JSON included, and its quantization_config.
    @Test(arguments: [true, false]) func isTheCheckpointOfTransformers(double: Bool) throws {
        let pool = try ThreadPool(threadCount: 2)
        let summary = try Quantizer(double: double, rounding: .bitsandbytesCPU).quantize(
            try ModelReference.open(NF4Fixture.path("source")), to: output, pool: pool)
        let expected = try Checkpoint(directory: NF4Fixture.path(double ? "double" : "single"))
        let found = try Checkpoint(directory: output)
        try found.validate()
        #expect(try Set(found.tensorNames()) == Set(expected.tensorNames()))
        for name in try expected.tensorNames() {
            let (a, b) = (try found.tensor(name), try expected.tensor(name))
            #expect(a.info == b.info, "\(name)")
            #expect(a.withBytes { Array($0) } == b.withBytes { Array($0) }, "\(name)")
        }
        #expect(found.configuration["quantization_config"] == expected.configuration["quantization_config"])
        #expect(found.configuration["dtype"] == "bfloat16" && found.config == expected.config)
        #expect(try found.shard(0).metadata.map { [$0.key, $0.value] } == [["format", "pt"]])
        #expect(summary.byteCount == (try found.shard(0).tensors.reduce(0) { $0 + $1.byteCount }))
        #expect(summary.sourceByteCount == 2 * found.config.parameterCount && summary.quantizedParameterCount == 5880)
    }

    /// A pruned model of each type: plan, script and tokenizer come along; values are those of quantizing in memory.
    @Test(arguments: [DType.bf16, .f16, .f32], [false, true]) func prunedModels(dtype: DType, tied: Bool) throws {
        let config = SmallModel.config(tied: tied, dtype: dtype)
        try SmallModel.write(config, to: source)
        try FileSystem.write("tokens", to: "\(source)/tokenizer.model")
        let pruned = directory.path("pruned")
        let plan = try SmallModel.plan(config)
        try StructuredPruner.prune(try ModelReference.open(source), plan: plan, to: pruned)
        var calls: [Int] = []
        let quantizer = Quantizer()
        try quantizer.quantize(try ModelReference.open(pruned), to: output) { done, total in
            calls.append(done)
            #expect(done <= total)
        }
        let before = try Checkpoint(directory: pruned), after = try Checkpoint(directory: output)
        try after.validate()
        #expect(calls.count == WeightLayout.names(after.config).count && calls == calls.sorted())
        #expect(after.config.layers == before.config.layers && after.config.dtype == .bf16)
        #expect(after.config.tiesWordEmbeddings == tied && after.contains(WeightName.lmHead) == !tied)
        #expect(after.configuration["method"] == "rand" && after.configuration["auto_map"] != nil)
        #expect(try PruningPlan.beside(checkpoint: output) == plan)
        #expect(FilePath.isRegularFile("\(output)/modeling_loram.py") && FilePath.isRegularFile("\(output)/tokenizer.model"))
        for (name, shape) in WeightLayout.names(after.config) {
            let values = try weightValues(before, name, shape)
            guard let stored = try after.nf4(name, shape: shape) else {
                #expect(try after.tensor(name).dtype == .bf16)
                #expect(try weightValues(after, name, shape) == values.map { Float(bitPattern: UInt32(FloatConversion.bf16($0)) << 16) })
                continue
            }
            #expect(stored.dtype == dtype)
            let direct = try quantizer.quantize(values, name: name, shape: shape, dtype: dtype)
            let streamed = try quantizer.quantize(name, shape: shape, from: before)
            for tensor in [direct, streamed] {
                #expect(tensor.dtype == dtype && tensor.scales.nestedOffset == stored.scales.nestedOffset)
                #expect(tensor.bytes(tensor.codes, (values.count + 1) / 2) == stored.bytes(stored.codes, (values.count + 1) / 2))
                #expect(bits(tensor.floats()) == bits(try weightValues(after, name, shape)))
            }
        }
    }

    /// Cut anywhere into shards, a weight's parts are found in whichever file they are.
    @Test func shards() throws {
        var config = SmallModel.config()
        config.layers = Array(config.layers[..<1])
        try SmallModel.write(config, to: source)
        let model = try ModelReference.open(source)
        try Quantizer().quantize(model, to: output)
        let whole = try Checkpoint(directory: output)
        for limit in [150, 1500, 2500] {
            let path = directory.path("sharded-\(limit)")
            let summary = try Quantizer().quantize(model, to: path, maxShardByteCount: limit)
            let checkpoint = try Checkpoint(directory: path)
            #expect(checkpoint.shardNames.count > 3)
            try checkpoint.validate()
            for (name, shape) in WeightLayout.names(whole.config) {
                #expect(try weightValues(checkpoint, name, shape) == weightValues(whole, name, shape))
            }
            let index = try JSONValue.parse(contentsOf: "\(path)/model.safetensors.index.json")
            #expect(index["metadata"]?["total_size"] == .integer(summary.byteCount))
        }
    }

    /// Random weights are quantized as their checkpoint would be.
    @Test func syntheticWeights() throws {
        let config = SmallModel.config()
        try SmallModel.write(config, to: source)
        try Quantizer().quantize(try ModelReference.open(source), to: output)
        try FileSystem.createDirectory(directory.path("bare"))
        try FileSystem.write(config.configJSON().serialized(), to: directory.path("bare/config.json"))
        try Quantizer().quantize(try ModelReference.open(directory.path("bare"), syntheticSeed: 3), to: directory.path("synthetic"))
        #expect(try FileSystem.read("\(output)/model.safetensors") == FileSystem.read(directory.path("synthetic/model.safetensors")))
    }

    /// More elements than a piece, rows of odd width; from a file, from a generator and at once, with any number of threads.
    @Test func piecesAndThreadsDoNotShow() throws {
        var config = SmallModel.config(dtype: .f32)
        config.layers = [LayerGeometry(headCount: 8, keyValueHeadCount: 4, intermediateSize: 70_001)]
        try SmallModel.write(config, to: source)
        let checkpoint = try Checkpoint(directory: source), synthetic = SyntheticWeights(config: config, seed: 3)
        let pool = try ThreadPool(threadCount: 3)
        for name in ["model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"] {
            let shape = name.contains("up") ? [70_001, 32] : [32, 70_001]
            let values = try weightValues(checkpoint, name, shape)
            let count = values.count / 2
            let expected = try Quantizer().quantize(values, name: name, shape: shape, dtype: .f32)
            for tensor in [
                try Quantizer().quantize(name, shape: shape, from: checkpoint), try Quantizer().quantize(name, shape: shape, from: synthetic, pool: pool),
                try Quantizer().quantize(name, shape: shape, from: checkpoint, pool: pool),
            ] {
                #expect(tensor.bytes(tensor.codes, count) == expected.bytes(expected.codes, count))
                #expect(tensor.bytes(tensor.scales.absmax, (values.count + 63) / 64) == expected.bytes(expected.scales.absmax, (values.count + 63) / 64))
                #expect(tensor.scales.nestedOffset == expected.scales.nestedOffset)
            }
        }
        try Quantizer().quantize(.open(source), to: output, pool: pool)
        #expect(
            try weightValues(Checkpoint(directory: output), "model.layers.0.mlp.up_proj.weight", [70_001, 32])
                == Quantizer().quantize("model.layers.0.mlp.up_proj.weight", shape: [70_001, 32], from: synthetic).floats())
    }

    @Test func quantizingTwiceIsRefused() throws {
        let path = try NF4Fixture.path("double")
        #expect(
            caught(QuantizationError.self) { try Quantizer().quantize(try ModelReference.open(path), to: output) } == .alreadyQuantized(path: path))
        #expect(try FilePath.names(inDirectory: directory.path).isEmpty)
    }

    @Test(arguments: ["model.layers.3.mlp.up_proj.weight", WeightName.embedding, WeightName.finalNorm]) func brokenWeightsLeaveNoOutput(name: String) throws {
        try SmallModel.write(SmallModel.config(), to: source) { tensor, values in
            if tensor == name { values[17] = .nan }
        }
        #expect(
            caught(CheckpointError.self) { try Quantizer().quantize(try ModelReference.open(source), to: output) }
                == .nonFinite(path: "\(source)/model.safetensors", tensor: name, element: 17))
        #expect(try FilePath.names(inDirectory: directory.path) == ["source"])
    }

    /// Too large for the type that it is going to have.
    @Test func whatBF16CannotHoldIsRefused() throws {
        try SmallModel.write(SmallModel.config(dtype: .f32), to: source) { tensor, values in
            if tensor == WeightName.finalNorm { values[2] = .greatestFiniteMagnitude }
        }
        #expect(throws: CheckpointError.self) { try Quantizer().quantize(try ModelReference.open(source), to: output) }
    }

    @Test func theRun() throws {
        try SmallModel.write(SmallModel.config(), to: source)
        let recipe = try Recipe.load(
            file: nil, overrides: ["model=\(source)", "quantization.double=false", "quantization.absmax_rounding=bitsandbytes_cpu", "parallel.threads=1"])
        let report = try QuantizationRun.run(recipe, output: output)
        #expect(report.json["bytes_before"] == .integer(2 * SmallModel.config().parameterCount))
        #expect(report.json["bytes_after"] == .integer(try Inspection(path: output).byteCount))
        #expect(report.json["double"] == false && report.json["absmax_rounding"] == "bitsandbytes_cpu" && report.seconds > 0)
        #expect(!report.description.contains("\n"))
        #expect(try Checkpoint(directory: output).quantization == QuantizationConfig(doubleQuantization: false))
    }

    /// transformers opens what we write, whole and pruned, as the model that it would make by itself.
    @Test(.enabled(if: ReferencePython.isPresent, "LORAM_PYTHON names no Python"), arguments: [(true, false), (false, false), (true, true)])
    func opensInTransformers(double: Bool, pruned: Bool) throws {
        var path = try NF4Fixture.path("source")
        if pruned {
            let model = try ModelReference.open(path)
            path = directory.path("pruned")
            try StructuredPruner.prune(
                model, plan: try RandomPruning.plan(config: model.config, ratio: 0.4, keepFirst: 1, keepLast: 0, seed: 2), to: path)
        }
        try Quantizer(double: double, rounding: .bitsandbytesCPU).quantize(try ModelReference.open(path), to: output)
        let result = try ReferencePython.run("check_quantized_opens.py", [path, output])
        #expect(result.exitCode == 0, "\(result.output)")
        #expect(result.output.contains(#""quantized": 14"#))
    }
}

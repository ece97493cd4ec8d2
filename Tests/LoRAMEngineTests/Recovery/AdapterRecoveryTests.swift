import LoRAMEngine
import TestSupport
import Testing

@Suite struct AdapterRecoveryTests {
    let directory: TemporaryDirectory
    let config = SmallModel.config()
    let plan: PruningPlan
    let recovery: AdapterRecovery
    let rank = 3

    init() throws {
        directory = try TemporaryDirectory()
        plan = try SmallModel.plan()
        recovery = try AdapterRecovery(source: config, plan: plan)
    }

    /// An adapter of random values that fits `config`.
    @discardableResult
    func writeAdapter(
        _ name: String, for config: LlamaConfig, targets: [LinearSite] = LinearSite.allCases, extra: [JSONMember] = [], rslora: Bool = false
    ) throws -> Adapter {
        let lora = LoRAConfig(rank: rank, alpha: 6, dropout: 0.05, rankStabilized: rslora, targets: targets)
        var shapes: [(name: String, shape: [Int])] = []
        for module in AdapterModule.all(targets: targets, config: config) {
            let shape = module.site.shape(in: config, layer: module.layer)
            shapes.append((module.aName, [rank, shape.in]))
            shapes.append((module.bName, [shape.out, rank]))
        }
        let writer = try AdapterWriter(path: directory.path(name), lora: lora, tensors: shapes, baseModel: "m", extra: extra)
        for (name, shape) in shapes {
            var values = [Float](repeating: 0, count: shape.reduce(1, *))
            CounterRandom(seed: 11, name: name).fillNormal(&values, count: values.count, deviation: 1)
            try writer.append(values, count: values.count, to: name)
        }
        try writer.finish()
        return try Adapter(directory: directory.path(name))
    }

    func values(_ adapter: Adapter, _ name: String) throws -> [Float] {
        let shape = try adapter.shape(name)
        var values = [Float](repeating: 0, count: shape.reduce(1, *))
        try adapter.copyFloats(name, shape: shape, into: &values)
        return values
    }

    /// B A, [out, in], in doubles.
    func delta(_ adapter: Adapter, _ module: AdapterModule) throws -> (values: [[Double]], out: Int, in: Int) {
        let (out, width) = try adapter.width(of: module)
        let a = try values(adapter, module.aName)
        let b = try values(adapter, module.bName)
        let product = (0..<out).map { row in
            (0..<width).map { column in (0..<rank).reduce(0.0) { $0 + Double(b[row * rank + $1]) * Double(a[$1 * width + column]) } }
        }
        return (product, out, width)
    }

    @Test func theRecoveredDeltaIsThePrunedOneScattered() throws {
        let pruned = try writeAdapter("pruned", for: recovery.trained, extra: [AdapterRecovery.mark(of: plan)])
        try recovery.recover(pruned, to: directory.path("full"), baseModel: "base")
        let full = try Adapter(directory: directory.path("full"))
        try full.validate(for: config)
        #expect(full.lora == pruned.lora && full.baseModel == "base")
        #expect(full.modules == pruned.modules)
        for module in full.modules {
            let small = try delta(pruned, module)
            let large = try delta(full, module)
            let kept = plan.keptRanges(module.site, layer: module.layer)
            let rows = (kept.rows ?? [0..<large.out]).flatMap { Array($0) }
            let columns = (kept.columns ?? [0..<large.in]).flatMap { Array($0) }
            var expected = Array(repeating: [Double](repeating: 0, count: large.in), count: large.out)
            for (i, row) in rows.enumerated() {
                for (j, column) in columns.enumerated() { expected[row][column] = small.values[i][j] }
            }
            #expect(large.values == expected, "\(module.aName)")
        }
    }

    /// Only the pruned dimension grows; every other factor, lm_head's too, stays bit for bit.
    @Test func otherFactorsAreUnchanged() throws {
        let pruned = try writeAdapter("pruned", for: recovery.trained)
        try recovery.recover(pruned, to: directory.path("full"), baseModel: nil)
        let full = try Adapter(directory: directory.path("full"))
        for module in full.modules {
            let (unchanged, grown) =
                module.site == .o || module.site == .down ? (module.bName, module.aName) : (module.aName, module.bName)
            #expect(try values(full, unchanged) == values(pruned, unchanged))
            if module.site == .lmHead || [0, 5, 6].contains(module.layer) {
                #expect(try values(full, grown) == values(pruned, grown))
            } else {
                #expect(try full.shape(grown) != pruned.shape(grown))
                #expect(try values(full, grown).filter { $0 != 0 } == values(pruned, grown))
            }
        }
    }

    @Test func normalFillChangesOnlyNewColumnsOfA() throws {
        let pruned = try writeAdapter("pruned", for: recovery.trained)
        try recovery.recover(pruned, to: directory.path("zero"), baseModel: nil)
        try recovery.recover(pruned, fill: .normal(seed: 5), to: directory.path("normal"), baseModel: nil)
        try recovery.recover(pruned, fill: .normal(seed: 5), to: directory.path("again"), baseModel: nil)
        try recovery.recover(pruned, fill: .normal(seed: 6), to: directory.path("other"), baseModel: nil)
        let zero = try Adapter(directory: directory.path("zero"))
        let normal = try Adapter(directory: directory.path("normal"))
        var drawn: [Float] = []
        for module in zero.modules {
            #expect(try values(zero, module.bName) == values(normal, module.bName))
            let before = try values(zero, module.aName)
            let after = try values(normal, module.aName)
            for (old, new) in zip(before, after) {
                if old != 0 { #expect(new == old) } else { drawn.append(new) }
            }
            if ![.o, .down].contains(module.site) { #expect(before == after) }
        }
        // 4 layers x 3 rows x (24 + 23) new columns.
        #expect(drawn.count == 564)
        let variance = drawn.reduce(0) { $0 + Double($1) * Double($1) } / Double(drawn.count)
        #expect(abs(variance.squareRoot() - 1 / 3.0) < 0.05)
        func file(_ name: String) throws -> [UInt8] { try FileSystem.read(directory.path("\(name)/adapter_model.safetensors")) }
        #expect(try file("normal") == file("again"))
        #expect(try file("normal") != file("other"))
    }

    @Test func withoutAPlanNothingChanges() throws {
        let adapter = try writeAdapter("whole", for: config, targets: [.q, .down], rslora: true)
        try AdapterRecovery(source: config, plan: nil).recover(adapter, fill: .normal(seed: 1), to: directory.path("out"), baseModel: "m")
        #expect(
            try FileSystem.read(directory.path("whole/adapter_model.safetensors"))
                == FileSystem.read(directory.path("out/adapter_model.safetensors")))
        #expect(try Adapter(directory: directory.path("out")).lora == adapter.lora)
    }

    @Test func anAdapterOfAnotherPlanIsRefused() throws {
        // Another ratio: other shapes.
        let other = try SmallModel.plan(ratio: 0.3)
        let shapes = try writeAdapter("shapes", for: other.prunedConfig(of: config))
        #expect(throws: AdapterError.self) { try recovery.recover(shapes, to: directory.path("out"), baseModel: nil) }
        // The whole model's adapter.
        let whole = try writeAdapter("whole", for: config)
        #expect(throws: AdapterError.self) { try recovery.recover(whole, to: directory.path("out"), baseModel: nil) }
        // Another seed: the same shapes, told apart by the mark.
        let seed = try SmallModel.plan(seed: 8)
        let marked = try writeAdapter("marked", for: seed.prunedConfig(of: config), extra: [AdapterRecovery.mark(of: seed)])
        #expect {
            try recovery.recover(marked, to: directory.path("out"), baseModel: nil)
        } throws: { error in
            if case .otherPlan(_, plan.hash, seed.hash)? = error as? RecoveryError { true } else { false }
        }
        #expect(!FilePath.exists(directory.path("out")))
    }

    @Test func anotherModelsPlanIsRefused() {
        #expect(throws: PruningError.self) { try AdapterRecovery(source: SmallModel.config(theta: 3), plan: plan) }
    }

    /// transformers opens the pruned checkpoint, PEFT both adapters; logits and recovered deltas are the expected ones. Also where no layer
    /// is whole, so that no layer's head count divides the hidden size.
    @Test(.enabled(if: ReferencePython.isPresent, "LORAM_PYTHON names no Python"), arguments: [(false, 1, 2, 0.6), (true, 1, 2, 0.6), (false, 0, 0, 0.4)])
    func transformersAndPEFTAgree(tied: Bool, keepFirst: Int, keepLast: Int, ratio: Double) throws {
        let config = SmallModel.config(tied: tied, dtype: .f32)
        let plan = try RandomPruning.plan(config: config, ratio: ratio, keepFirst: keepFirst, keepLast: keepLast, seed: 7)
        let recovery = try AdapterRecovery(source: config, plan: plan)
        try SmallModel.write(config, to: directory.path("source"))
        try StructuredPruner.prune(try ModelReference.open(directory.path("source")), plan: plan, to: directory.path("pruned-model"))
        let adapter = try writeAdapter(
            "pruned", for: recovery.trained, targets: tied ? LinearSite.inLayer : LinearSite.allCases, extra: [AdapterRecovery.mark(of: plan)])
        try recovery.recover(adapter, to: directory.path("full"), baseModel: directory.path("source"))
        let result = try ReferencePython.run(
            "check_pruned_opens.py", ["source", "pruned-model", "pruned", "full"].map { directory.path($0) })
        #expect(result.exitCode == 0, "\(result.output)")
    }
}

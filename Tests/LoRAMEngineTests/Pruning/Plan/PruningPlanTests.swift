import LoRAMEngine
import TestSupport
import Testing

@Suite struct PruningPlanTests {
    func parse(_ text: String) throws -> PruningPlan { try PruningPlan(json: Array(text.utf8), path: "p.json") }

    @Test(arguments: [0, 42, 1 << 53, (1 << 53) + 1, .max] as [UInt64])
    func readsBackAsItself(seed: UInt64) throws {
        let plan = try SmallModel.plan(seed: seed)
        #expect(try parse(plan.serialized()) == plan)
        #expect(try parse(plan.serialized()).hash == plan.hash)
    }

    @Test func filesAreFoundBesideACheckpoint() throws {
        let directory = try TemporaryDirectory()
        #expect(try PruningPlan.beside(checkpoint: directory.path) == nil)
        let plan = try SmallModel.plan()
        try FileSystem.write(plan.serialized(), to: directory.path(PruningPlan.fileName))
        #expect(try PruningPlan.beside(checkpoint: directory.path) == plan)
    }

    @Test func hashesTellPlansApart() throws {
        #expect(try SmallModel.plan(seed: 1).hash != SmallModel.plan(seed: 2).hash)
    }

    @Test func belongsToOneModel() throws {
        let plan = try SmallModel.plan()
        var other = SmallModel.config()
        // What does not change the function of the weights does not count.
        other.dtype = .f32
        other.bosTokenID = 5
        other.maxPositionCount = 1
        try plan.require(source: other)
        var changes: [LlamaConfig] = [SmallModel.config(tied: true), SmallModel.config(theta: 500_000)]
        for change in [\LlamaConfig.hiddenSize, \.vocabularySize, \.headDim] {
            var config = SmallModel.config()
            config[keyPath: change] += 2
            changes.append(config)
        }
        var shorter = SmallModel.config()
        shorter.layers.removeLast()
        var scaled = SmallModel.config()
        scaled.rope.scaling = .init(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositionCount: 8192)
        for config in changes + [shorter, scaled] {
            #expect(throws: PruningError.otherModel(path: "p", expected: config.identityHash, found: plan.sourceConfigHash)) {
                try plan.prunedConfig(of: config, path: "p")
            }
        }
    }

    /// A made-up plan with the right hash but other sizes must not be used either.
    @Test func aForgedHashDoesNotHelp() throws {
        let text = try SmallModel.plan().serialized()
        let forged = try parse(text.replacing("\"head_dim\":6", with: "\"head_dim\":600"))
        #expect(throws: PruningError.self) { try forged.prunedConfig(of: SmallModel.config()) }
        let wider = try parse(text.replacing("\"intermediate_size\":37", with: "\"intermediate_size\":3700"))
        #expect(throws: PruningError.self) { try wider.prunedConfig(of: SmallModel.config()) }
    }

    @Test func checkpointsOfAnotherPlanAreSeen() throws {
        let plan = try SmallModel.plan()
        try plan.require(pruned: plan.prunedConfig(of: SmallModel.config()), path: "p")
        let other = try SmallModel.plan(ratio: 0.3).prunedConfig(of: SmallModel.config())
        #expect {
            try plan.require(pruned: other, path: "p")
        } throws: { error in
            if case .otherGeometry("p", 1, _, _)? = error as? PruningError { true } else { false }
        }
        var longer = other
        longer.layers.append(other.layers[0])
        #expect(throws: PruningError.self) { try plan.require(pruned: longer, path: "p") }
    }

    static let edits: [(from: String, to: String)] = [
        ("\"format_version\":1", "\"format_version\":2"), ("\"format_version\":1,", ""), ("\"method\":\"rand\"", "\"method\":\"semi\""),
        ("\"method\":\"rand\"", "\"method\":7"), ("\"ratio\":0.6", "\"ratio\":1.0"), ("\"ratio\":0.6", "\"ratio\":-1"),
        ("\"ratio\":0.6", "\"ratio\":\"x\""), ("\"seed\":7", "\"seed\":-1"), ("\"seed\":7", "\"seed\":1.5"), ("\"seed\":7", "\"seed\":\"x\""),
        ("\"keep_first\":1", "\"keep_first\":-1"), ("\"keep_last\":2", "\"keep_last\":99"), ("\"num_hidden_layers\":7", "\"num_hidden_layers\":6"),
        ("\"num_hidden_layers\":7", "\"num_hidden_layers\":1e18"), ("\"num_key_value_heads\":4", "\"num_key_value_heads\":3"),
        ("\"num_key_value_heads\":4", "\"num_key_value_heads\":0"), ("\"num_attention_heads\":8", "\"num_attention_heads\":-8"),
        ("\"head_dim\":6", "\"head_dim\":0"), ("\"source\":{", "\"source\":3,\"x\":{"), ("\"layers\":[", "\"layers\":[1,"), ("\"layers\":[", "\"layers\":{},\"x\":["),
        ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":[]"), ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":[0,2,1]"),
        ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":[1,1]"), ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":[4]"),
        ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":[-1]"), ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":[0.5]"),
        ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":[\"0\"]"), ("\"kept_key_value_heads\":[0,1,2,3]", "\"kept_key_value_heads\":null"),
        ("\"kept_channels\":[0,1", "\"kept_channels\":[0,0"), ("\"kept_channels\":[0,1", "\"kept_channels\":[0,99999999999999999999"),
        ("source_config_sha256\":\"", "source_config_sha256\":\"x"), ("source_config_sha256", "source_config"), ("{", "{{"), ("]}]}", "]}]"),
    ]

    @Test(arguments: edits.indices)
    func hostilePlans(index: Int) throws {
        let text = try SmallModel.plan().serialized()
        let edit = Self.edits[index]
        let changed = text.replacing(edit.from, with: edit.to, maxReplacements: 1)
        #expect(changed != text)
        #expect {
            try parse(changed)
        } throws: { error in
            guard let error = error as? PruningError else { return false }
            return error.exitCode == .badInput && error.description.hasPrefix("p.json") && !error.description.contains("\n")
        }
    }

    @Test func truncatedPlans() throws {
        let bytes = Array(try SmallModel.plan().serialized().utf8)
        for length in stride(from: 0, to: bytes.count - 2, by: 37) {
            #expect(throws: PruningError.self) { try PruningPlan(json: Array(bytes[..<length]), path: "p.json") }
        }
    }
}

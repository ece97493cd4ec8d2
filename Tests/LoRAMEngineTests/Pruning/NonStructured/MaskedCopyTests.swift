import LoRAMEngine
import TestSupport
import Testing

/// Masks applied to a small model.
@Suite struct MaskedCopyTests {
    let directory: TemporaryDirectory
    var source: String { directory.path("source") }
    var output: String { directory.path("sparse") }
    var file: String { directory.path("masks.safetensors") }

    init() throws {
        directory = try TemporaryDirectory()
        try SmallModel.write(SmallModel.config(), to: source)
    }

    func copy() throws -> Int {
        try MaskedCopy.write(ModelReference.open(source), masks: PruningMasks(path: file, config: SmallModel.config()), to: output)
    }

    @Test func zeroesWhatIsNotKept() throws {
        var json = try JSONValue.parse(contentsOf: "\(source)/config.json")
        for (key, value) in [("pad_token_id", 0), ("pretraining_tp", 1), ("some_key", ["a": 1]), ("use_cache", false)] as [(String, JSONValue)] {
            json[key] = value
        }
        try FileSystem.write(json.serialized(), to: "\(source)/config.json")
        try FileSystem.write("{{ messages }}", to: "\(source)/chat_template.jinja")
        try SmallModel.writeMasks(layers: 1..<3, to: file)
        #expect(try copy() == 2 * SmallModel.zerosInALayer)
        let before = try Checkpoint(directory: source), after = try Checkpoint(directory: output)
        #expect(after.config == before.config && after.configuration == before.configuration)
        #expect(try FileSystem.read("\(output)/chat_template.jinja") == Array("{{ messages }}".utf8))
        let masks = try #require(try PruningMasks.beside(output, of: after.config))
        #expect(try masks.prunedCount(after.config) == 2 * SmallModel.zerosInALayer)
        for (name, shape) in WeightLayout.names(after.config) {
            let old = try weightValues(before, name, shape), new = try weightValues(after, name, shape)
            let isMasked = shape.count == 2 && (name.contains("layers.1.") || name.contains("layers.2."))
            let expected: [Float] = isMasked ? old.indices.map { $0 % shape[1] % 2 == 0 ? old[$0] : 0 } : old
            #expect(new == expected, "\(name)")
        }
    }

    /// A layer with any mask has all; a file with none prunes nothing, and says so.
    @Test(arguments: [[LinearSite.gate], [.q], [.down], []], [1..<2, 1..<4]) func masksThatAreMissing(sites: [LinearSite], layers: Range<Int>) throws {
        try SmallModel.writeMasks(sites, layers: layers, to: file)
        #expect {
            try copy()
        } throws: { error in
            if case .badPlan(_, "masks", let expected, _)? = error as? PruningError { expected.contains("every linear layer") } else { false }
        }
        #expect(!FilePath.exists(output))
    }

    @Test(arguments: [UInt8(0x20), 0x80]) func bitsBehindTheLastColumn(padding: UInt8) throws {
        try SmallModel.writeMasks(layers: 1..<3, to: file, padding: padding)
        #expect {
            try copy()
        } throws: { error in
            if case .badPlan(_, "mask model.layers.1.mlp.down_proj.weight", _, "others in row 0")? = error as? PruningError { true } else { false }
        }
    }
}

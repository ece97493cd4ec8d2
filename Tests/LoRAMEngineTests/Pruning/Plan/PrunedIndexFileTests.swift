import LoRAMEngine
import TestSupport
import Testing

/// Index files in every accepted form give the plan whose complement they list; others one clear error.
@Suite struct PrunedIndexFileTests {
    let directory: TemporaryDirectory
    let config = SmallModel.config()
    let plan: PruningPlan

    init() throws {
        directory = try TemporaryDirectory()
        plan = try SmallModel.plan(config)
    }

    func pruned(_ layer: Int) -> (channels: [Int], keys: [Int]) {
        let kept = plan.layers[layer]
        let heads = (0..<4).filter { !kept.keyValueHeads.contains($0) }
        return ((0..<37).filter { !kept.channels.contains($0) }, heads.flatMap { head in (0..<6).map { head * 6 + $0 } })
    }

    func open(_ text: String) throws -> PruningPlan {
        let path = directory.path("indices.json")
        try FileSystem.write(text, to: path)
        return try structured(path)
    }

    func structured(_ path: String) throws -> PruningPlan {
        guard case .structured(let plan) = try PlanFile.open(path, config: config, pruning: PruningRecipe(), seed: 5) else { throw Failure() }
        return plan
    }

    struct Failure: Error {}

    func expectSame(_ found: PruningPlan) throws {
        #expect(found.layers == plan.layers && found.keepFirst == 1 && found.keepLast == 2 && found.method == "stru" && found.seed == 5)
        #expect(found.sourceConfigHash == config.identityHash)
        #expect(try found.prunedConfig(of: config) == plan.prunedConfig(of: config))
    }

    @Test func json() throws {
        let layers = (0..<7).map(pruned)
        try expectSame(open("{\"gate_proj\": \(layers.map(\.channels)), \"k_proj\": \(layers.map(\.keys))}"))
        func entries(_ list: (Int) -> [Int]) -> String { (1..<5).map { "\"\($0)\": \(list($0))" }.joined(separator: ", ") }
        try expectSame(open("{\"gate_proj\": {\(entries { layers[$0].channels })}, \"k_proj\": {\(entries { layers[$0].keys })}}"))
        let named = (1..<5).map {
            "\"model.layers.\($0).mlp.gate_proj\": \(layers[$0].channels), \"model.layers.\($0).self_attn.k_proj.weight\": \(layers[$0].keys)"
        }
        try expectSame(open("{\(named.joined(separator: ", "))}"))
    }

    @Test(arguments: [DType.i64, .i32, .u16, .u8]) func safetensors(_ dtype: DType) throws {
        let path = directory.path("indices.safetensors")
        let lists = (1..<5).flatMap { [("layers.\($0).gate_proj", pruned($0).channels), ("layers.\($0).k_proj", pruned($0).keys)] }
        let writer = try SafetensorsWriter(path: path, tensors: lists.map { TensorInfo(name: $0.0, dtype: dtype, shape: [$0.1.count]) })
        for (name, list) in lists {
            let bytes = list.flatMap { value in withUnsafeBytes(of: Int64(value).littleEndian) { Array($0.prefix(dtype.byteCount)) } }
            try bytes.withUnsafeBytes { try writer.append($0, to: name) }
        }
        try writer.finish()
        try expectSame(structured(path))
    }

    @Test(arguments: [
        "{}", "[]", "{\"gate_proj\": 3}", "{\"gate_proj\": [[1], [\"a\"]]}", "{\"gate_proj\": {\"-1\": [1]}}", "{\"q_proj\": [[1]]}",
        "{\"gate_proj\": [[37]]}", "{\"gate_proj\": [[-1]]}", "{\"gate_proj\": [[1, 1]]}", "{\"k_proj\": [[0, 1, 2]]}", "{\"k_proj\": [[0, 1, 2, 3, 4, 6]]}",
        "{\"gate_proj\": {\"7\": [1]}}", "{\"gate_proj\": {\"1\": [1]}, \"model.layers.1.mlp.gate_proj\": [2]}", "{\"gate_proj\": [\((0..<37).map { $0 })]}",
    ]) func otherFilesAreRefused(_ text: String) {
        #expect(throws: PruningError.self) { try open(text) }
    }

    @Test func ownPlan() throws {
        let path = directory.path("pruning_plan.json")
        try FileSystem.write(plan.serialized(), to: path)
        #expect(try structured(path) == plan)
    }
}

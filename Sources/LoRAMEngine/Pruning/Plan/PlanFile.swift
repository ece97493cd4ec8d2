/// What `prune --plan FILE` applies, by the file's content.
public enum PlanFile {
    /// `pruning_plan.json`, or lists of pruned indices (`PrunedIndexFile`).
    case structured(PruningPlan)
    /// `pruning_masks.safetensors`
    case masks(PruningMasks)

    /// - Throws: `PruningError`, `SafetensorsError`, `FileError`.
    public static func open(_ path: String, config: LlamaConfig, pruning: PruningRecipe, seed: UInt64) throws -> PlanFile {
        let method = pruning.method.isStructured ? pruning.method : .stru
        if path.hasSuffix(".safetensors") {
            let file = try SafetensorsFile(path: path)
            if file.metadata.contains(where: { $0.key == "loram_masks" }) { return .masks(try PruningMasks(path: path, config: config)) }
            return .structured(try PrunedIndexFile(file).plan(config: config, method: method, seed: seed))
        }
        let bytes = try FileSystem.read(path, limit: PruningPlan.maxFileBytes)
        if let document = try? JSONValue.parse(bytes), document["format_version"] == nil, document.objectMembers != nil {
            return .structured(try PrunedIndexFile(document, path: path).plan(config: config, method: method, seed: seed))
        }
        let plan = try PruningPlan(json: bytes, path: path)
        try plan.require(source: config, path: path)
        return .structured(plan)
    }
}

/// An adapter that was trained on a non-structurally pruned model with `lora.mask` `recovery` or `training`: its product s B A is multiplied by the
/// mask wherever it is used. A masked product has no low rank, so the adapter's files stay dense and say so; the masks lie beside them.
public enum AdapterMask {
    static let key = "loram_mask"

    /// The member of adapter_config.json.
    public static func member(_ mask: LoRARecipe.Mask) -> JSONMember { JSONMember(key, .string(mask.rawValue)) }

    /// The masks that an adapter's product is multiplied by; nil for one that is used as it is.
    ///
    /// - Throws: `AdapterError.invalid` for another value, `PruningError.noMasks` where the masks are missing; as `PruningMasks`.
    public static func masks(of adapter: Adapter, config: LlamaConfig) throws -> PruningMasks? {
        guard let value = adapter.configuration[key], !value.isNull, value != "none" else { return nil }
        let directory = FilePath.parent(adapter.file.path)
        guard let text = value.stringValue, LoRARecipe.Mask(rawValue: text) != nil else {
            throw AdapterError.invalid(
                path: "\(directory)/\(Adapter.configName)", key: key, expected: "none, recovery or training", found: value.serialized())
        }
        guard let masks = try PruningMasks.beside(directory, of: config) else { throw PruningError.noMasks(model: directory, mask: text) }
        return masks
    }
}

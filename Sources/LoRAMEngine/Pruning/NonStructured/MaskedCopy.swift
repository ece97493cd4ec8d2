/// Applies existing masks to a model: its weights where they are kept, zeros elsewhere, no update of the others.
public enum MaskedCopy {
    /// - Throws: `PruningError`, `CheckpointError`, errors of the files.
    /// - Returns: weights that became zero.
    public static func write(_ model: ModelReference, masks: PruningMasks, to path: String, replacing: Bool = false) throws -> Int {
        let config = model.config
        let layers = try (0..<config.layerCount).filter { layer in try LinearSite.inLayer.contains { try masks.mask($0, layer: layer) != nil } }
        guard let first = layers.first, let last = layers.last else {
            throw PruningError.badPlan(path: masks.path, item: "masks", expected: "one for every linear layer of the pruned layers", found: "none")
        }
        let pruned = first..<last + 1
        for layer in pruned {
            for site in LinearSite.inLayer where try masks.mask(site, layer: layer) == nil {
                throw PruningError.badPlan(
                    path: masks.path, item: "masks", expected: "one for every linear layer of layers \(pruned)",
                    found: "none for \(site.modulePath(layer: layer))")
            }
        }
        let writer = try SparseCheckpointWriter(model, label: masks.label, prunedLayers: pruned, to: path, replacing: replacing)
        for layer in 0..<config.layerCount {
            guard pruned.contains(layer) else {
                try writer.copyLayer(layer)
                continue
            }
            for site in LinearSite.inLayer {
                let shape = site.shape(in: config, layer: layer), mask = try masks.mask(site, layer: layer)!
                let values = UnsafeMutablePointer<Float>.allocate(capacity: shape.out * shape.in)
                defer { values.deallocate() }
                try model.source.copyFloats(PruningMasks.name(site, layer: layer), shape: [shape.out, shape.in], rows: nil, into: values)
                try masks.apply(site, layer: layer, columns: shape.in, rows: 0..<shape.out, to: values)
                try mask.withBytes {
                    try writer.append(site, layer: layer, values: values, mask: $0.baseAddress!.assumingMemoryBound(to: UInt8.self))
                }
            }
            try writer.finishLayer(layer)
        }
        try writer.finish()
        return writer.prunedCount
    }
}

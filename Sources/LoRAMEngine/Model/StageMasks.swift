/// The masks of a stage's linear layers, where they lie in the file.
///
/// On a LoRA stage they multiply the adapter's products; on a stage whose weights are trained they keep pruned weights at zero.
final class StageMasks: @unchecked Sendable {
    private var views: [String: TensorView] = [:]

    /// - Throws: errors of the file.
    init(_ masks: PruningMasks, range: StageRange) throws {
        for layer in range.layers {
            for site in LinearSite.inLayer {
                if let view = try masks.mask(site, layer: layer) { views[PruningMasks.name(site, layer: layer)] = view }
            }
        }
    }

    /// Gives the pages of the masks back to the system; they come again where they are read.
    func release() { for view in views.values { view.release(0..<view.bytes.count) } }

    /// Bits as in `MaskBits`, valid as long as this object.
    func bits(_ site: LinearSite, layer: Int) -> UnsafePointer<UInt8>? { bits(PruningMasks.name(site, layer: layer)) }

    func bits(_ name: String) -> UnsafePointer<UInt8>? { views[name].map { $0.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self) } }
}

extension ModelStage {
    /// Zeroes the gradients of pruned weights: with their moments they stay zero, and so do the weights. Nothing on a stage without masks.
    public func maskGradients() {
        guard training.isDense, let masks, let gradients else { return }
        for tensor in layout.tensors {
            guard let bits = masks.bits(tensor.name) else { continue }
            let columns = tensor.shape[1]
            threadPool.runBlocks(tensor.shape[0], of: 16) { rows, _ in
                PruningMasks.multiply(
                    gradients + tensor.offset + rows.lowerBound * columns, bits + rows.lowerBound * MaskBits.stride(columns), rows: rows.count,
                    columns: columns)
            }
        }
    }
}

/// Pruning masks as multipliers of a merged adapter's product: 1 where the weight was kept, 0 where it was pruned.
public struct MaskedDelta: DeltaMask {
    private let masks: PruningMasks
    private let columns: [String: Int]

    /// - Parameter config: of the model that the masks belong to.
    public init(_ masks: PruningMasks, config: LlamaConfig) {
        self.masks = masks
        columns = Dictionary(WeightLayout.names(config).filter { $0.shape.count == 2 }.map { ($0.name, $0.shape[1]) }, uniquingKeysWith: { first, _ in first })
    }

    public func copyMultipliers(_ name: String, _ elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws -> Bool {
        guard let width = columns[name], let view = try masks.mask(named: name) else { return false }
        let stride = MaskBits.stride(width)
        view.withBytes { bits in
            for (index, element) in elements.enumerated() {
                let row = element / width, column = element % width
                destination[index] = Float(bits[row * stride + column / 8] >> UInt8(column % 8) & 1)
            }
        }
        return true
    }
}

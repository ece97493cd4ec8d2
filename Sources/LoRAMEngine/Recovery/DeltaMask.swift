/// Multiplies the product s B A of a merge element by element, for adapters trained on non-structurally pruned models (`lora.mask`).
public protocol DeltaMask: Sendable {
    /// Multipliers of consecutive elements, row-major, of a weight of the model.
    ///
    /// - Parameter name: as in `WeightLayout`.
    /// - Returns: false where the mask does not touch the weight; nothing is written then.
    func copyMultipliers(_ name: String, _ elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws -> Bool
}

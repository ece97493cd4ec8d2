/// Where a model's weights come from, tensor by tensor and row by row: a checkpoint's files or a random generator.
///
/// Nothing is ever materialised whole: a rank asks for the rows it holds.
public protocol TensorSource: Sendable {
    var config: LlamaConfig { get }

    /// Writes a weight, or a range of its rows, as Float, row-major.
    ///
    /// - Parameters:
    ///   - name: as in `WeightLayout`.
    ///   - shape: of the whole tensor, as the caller expects it.
    ///   - rows: a range of the first dimension; nil is all of it.
    ///   - destination: room for the rows.
    /// - Throws: `CheckpointError` if the tensor is missing or of another shape or type, or if a value is NaN or infinite; errors
    ///   of the files.
    func copyFloats(_ name: String, shape: [Int], rows: Range<Int>?, into destination: UnsafeMutablePointer<Float>) throws

    func contains(_ name: String) -> Bool
}

extension TensorSource {
    /// The range of elements that `rows` selects.
    ///
    /// - Precondition: the rows exist.
    static func elements(of rows: Range<Int>?, shape: [Int]) -> Range<Int> {
        guard let rows else { return 0..<shape.reduce(1, *) }
        let rowElementCount = shape.dropFirst().reduce(1, *)
        precondition(
            !shape.isEmpty && rows.lowerBound >= 0 && rows.upperBound <= shape[0], "rows \(rows) of a tensor of shape \(shape)")
        return rows.lowerBound * rowElementCount..<rows.upperBound * rowElementCount
    }
}

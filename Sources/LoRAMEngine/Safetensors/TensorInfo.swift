/// Name, type and shape of a tensor that is in a file or is going to be.
public struct TensorInfo: Sendable, Equatable {
    public var name: String
    public var dtype: DType
    /// Row-major; empty for a scalar.
    public var shape: [Int]

    public init(name: String, dtype: DType, shape: [Int]) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
    }

    /// Product of the dimensions: 1 for a scalar, 0 for an empty tensor. Meant for shapes that were checked: traps on overflow.
    public var elementCount: Int { shape.reduce(1, *) }

    public var byteCount: Int { elementCount * dtype.byteCount }

    /// Bytes of a shape from outside; nil if a dimension is negative or the count does not fit.
    static func checkedByteCount(_ shape: [Int], _ dtype: DType) -> Int? {
        var count = dtype.byteCount
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            let (product, overflows) = count.multipliedReportingOverflow(by: dimension)
            if overflows { return nil }
            count = product
        }
        return count
    }
}

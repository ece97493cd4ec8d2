/// A linear layer's weight in NF4 as bitsandbytes stores it: 4-bit codes, a scale for every 64 elements, and for double quantization a
/// scale for every 256 of those.
///
/// Elements lie row-major and blocks cross rows: element i has the high (i even) or low nibble of byte i / 2 and the scale of
/// block i / 64. Pointers have any alignment; they are valid as long as this value or a copy of it lives.
///
/// Unchecked: the bytes are never written.
public struct NF4Tensor: @unchecked Sendable {
    /// Where the scales of blocks lie.
    public struct Scales {
        /// U8 a block with double quantization, else F32.
        public let absmax: UnsafeRawPointer
        /// F32 for every 256 blocks; nil without double quantization.
        public let nestedAbsmax: UnsafeRawPointer?
        /// 256 F32 to which the bytes of `absmax` point.
        public let nestedMap: UnsafeRawPointer?
        public let nestedOffset: Float
    }

    /// Of the weight: `model.layers.0.mlp.up_proj.weight`.
    public let name: String
    /// [out, in].
    public let shape: [Int]
    /// Type that the weight had, to which dequantized values are rounded.
    public let dtype: DType
    /// (elements + 1) / 2 bytes.
    public let codes: UnsafeRawPointer
    public let scales: Scales
    /// The file, for error messages.
    public let origin: String
    /// What keeps the pointers valid.
    private let owners: [AnyObject]

    /// - Precondition: the pointers lead to as many bytes as the shape asks for.
    init(name: String, shape: [Int], dtype: DType, codes: UnsafeRawPointer, scales: Scales, origin: String, owners: [AnyObject]) {
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.codes = codes
        self.scales = scales
        self.origin = origin
        self.owners = owners
    }

    public var elementCount: Int { shape.reduce(1, *) }
    public var isDoubleQuantized: Bool { scales.nestedAbsmax != nil }
    /// Bytes of codes and scales.
    public var byteCount: Int {
        let blocks = NF4Layout.blockCount(elementCount)
        let nested = isDoubleQuantized ? blocks + 4 * (NF4Layout.nestedBlockCount(elementCount) + 256) : 4 * blocks
        return NF4Layout.codeByteCount(elementCount) + nested
    }

    /// Dequantizes a range of rows (nil: all): code times scale in f32, rounded to `dtype` as bitsandbytes does, then widened again.
    ///
    /// - Precondition: the rows exist.
    public func copyFloats(rows: Range<Int>? = nil, into destination: UnsafeMutablePointer<Float>) {
        let width = shape.dropFirst().reduce(1, *), rows = rows ?? 0..<shape[0]
        copyFloats(elements: rows.lowerBound * width..<rows.upperBound * width, into: destination)
    }

    /// The same for any range of elements.
    ///
    /// - Precondition: the elements exist.
    func copyFloats(elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) {
        precondition(elements.lowerBound >= 0 && elements.upperBound <= elementCount, "elements \(elements) of \(name) with shape \(shape)")
        withExtendedLifetime(owners) {
            NF4Kernels.dequantize(codes, scales, total: elementCount, first: elements.lowerBound, count: elements.count, into: destination)
        }
        FloatConversion.round(destination, count: elements.count, to: dtype)
    }

    /// Finite scales make finite values; what reads the codes directly asks this once.
    ///
    /// - Throws: `QuantizationError.nonFiniteScale`.
    public func requireFiniteScales() throws {
        let blocks = NF4Layout.blockCount(elementCount)
        var values = [Float](repeating: 0, count: min(blocks, 4096))
        try withExtendedLifetime(owners) {
            for first in stride(from: 0, to: blocks, by: values.count) {
                let count = min(values.count, blocks - first)
                NF4Kernels.decodeScales(scales, first: first, count: count, into: &values)
                if let index = FloatConversion.firstNonFinite(values, count: count) {
                    throw QuantizationError.nonFiniteScale(path: origin, tensor: name, block: first + index)
                }
            }
        }
    }
}

extension FloatConversion {
    /// Rounds floats in place to the nearest value of a narrower type, ties to even; F32 stays.
    package static func round(_ values: UnsafeMutablePointer<Float>, count: Int, to dtype: DType) {
        var i = 0
        switch dtype {
        case .bf16:
            while i < count {
                values[i] = Float(bitPattern: UInt32(truncatingIfNeeded: bf16(values[i])) &<< 16)
                i &+= 1
            }
        case .f16:
            while i < count {
                values[i] = float(fromF16: f16(values[i]))
                i &+= 1
            }
        default: break
        }
    }
}

/// Makes NF4 weights from plain ones, bit for bit as bitsandbytes does.
public struct Quantizer: Sendable, Equatable {
    /// How double quantization picks the entry of the map for a scale. Where two entries are nearly as close the two differ, in 0.1 to
    /// 0.3 % of the scales; reading is the same.
    public enum ScaleRounding: Sendable, Equatable {
        /// The nearest entry, as bitsandbytes on a GPU.
        case nearest
        /// By the table of bitsandbytes on a CPU.
        case bitsandbytesCPU
    }

    /// Quantize the scales too.
    public var double: Bool
    public var rounding: ScaleRounding

    public init(double: Bool = true, rounding: ScaleRounding = .nearest) {
        self.double = double
        self.rounding = rounding
    }

    public init(_ recipe: QuantizationRecipe) {
        self.init(double: recipe.double, rounding: recipe.absmaxRounding == .nearest ? .nearest : .bitsandbytesCPU)
    }

    /// Quantizes values in memory.
    ///
    /// - Parameters:
    ///   - values: row-major, as many as the shape says.
    ///   - dtype: F32, F16 or BF16: the type that the values are representable in and that dequantized ones are rounded to.
    /// - Throws: `CheckpointError.nonFinite`, `QuantizationError.scalesOverflow`.
    public func quantize(
        _ values: UnsafePointer<Float>, name: String, shape: [Int], dtype: DType, origin: String = "memory", pool: ThreadPool? = nil
    ) throws -> NF4Tensor {
        let count = shape.reduce(1, *)
        let codes = ByteBuffer(count: NF4Layout.codeByteCount(count))
        let absmax = try encode(UnsafeRawPointer(values), dtype: .f32, count: count, into: codes.base, pool: pool) { element in
            CheckpointError.nonFinite(path: origin, tensor: name, element: element)
        }
        return try tensor(name: name, shape: shape, dtype: dtype, codes: codes, absmax: absmax, origin: origin, pool: pool)
    }

    /// Quantizes a weight of a model, read piece by piece: what `train` does with its stage of an unquantized checkpoint, with the same
    /// result as the checkpoint that `quantize(_:to:)` writes.
    ///
    /// - Throws: as above; errors of the source.
    public func quantize(_ name: String, shape: [Int], from source: any TensorSource, pool: ThreadPool? = nil) throws -> NF4Tensor {
        let pieces = try WeightPieces(name: name, shape: shape, source: source)
        let codes = ByteBuffer(count: NF4Layout.codeByteCount(pieces.elementCount))
        var absmax: [Float] = []
        absmax.reserveCapacity(NF4Layout.blockCount(pieces.elementCount))
        try pieces.forEach { bytes, elements in
            absmax += try encode(bytes, dtype: pieces.dtype, count: elements.count, into: codes.base + elements.lowerBound / 2, pool: pool) {
                CheckpointError.nonFinite(path: pieces.origin, tensor: name, element: elements.lowerBound + $0)
            }
        }
        return try tensor(name: name, shape: shape, dtype: pieces.storedDType, codes: codes, absmax: absmax, origin: pieces.origin, pool: pool)
    }

    private func tensor(
        name: String, shape: [Int], dtype: DType, codes: ByteBuffer, absmax: [Float], origin: String, pool: ThreadPool?
    ) throws -> NF4Tensor {
        let scales = try encodeScales(absmax, name: name, origin: origin, pool: pool)
        var buffers = [codes, ByteBuffer(scales.absmax)]
        if double { buffers += [ByteBuffer(scales.nestedAbsmax), ByteBuffer(NF4Kernels.dynamicMap)] }
        return NF4Tensor(
            name: name, shape: shape, dtype: dtype, codes: UnsafeRawPointer(codes.base),
            scales: .init(
                absmax: UnsafeRawPointer(buffers[1].base), nestedAbsmax: double ? UnsafeRawPointer(buffers[2].base) : nil,
                nestedMap: double ? UnsafeRawPointer(buffers[3].base) : nil, nestedOffset: scales.nestedOffset ?? 0),
            origin: origin, owners: buffers)
    }
}

// MARK: - Encoding

extension Quantizer {
    /// The scales of a tensor as they are stored.
    struct EncodedScales {
        /// U8 a block, or the bytes of F32.
        var absmax: [UInt8]
        /// Empty without double quantization.
        var nestedAbsmax: [Float] = []
        var nestedOffset: Float?
    }

    /// Codes of a piece that starts at a multiple of 64 elements; returns its block maxima.
    ///
    /// - Throws: `nonFinite` of the index of the first NaN or infinity.
    func encode(
        _ source: UnsafeRawPointer, dtype: DType, count: Int, into codes: UnsafeMutableRawPointer, pool: ThreadPool?,
        nonFinite: (Int) -> CheckpointError
    ) throws -> [Float] {
        let blocks = NF4Layout.blockCount(count)
        let absmax = [Float](unsafeUninitializedCapacity: blocks) { buffer, initialized in
            if let base = buffer.baseAddress { NF4Kernels.quantize(source, dtype: dtype, count: count, codes: codes, absmax: base, pool: pool) }
            initialized = blocks
        }
        // A block with a NaN or an infinity has it as its maximum.
        if let block = FloatConversion.firstNonFinite(absmax, count: blocks) {
            let first = block * NF4Layout.blockSize
            var values = [Float](repeating: 0, count: min(NF4Layout.blockSize, count - first))
            let view = TensorView(
                info: TensorInfo(name: "", dtype: dtype, shape: [values.count]),
                bytes: UnsafeRawBufferPointer(start: source + first * dtype.byteCount, count: values.count * dtype.byteCount), origin: "", owner: Self.none)
            try view.copyFloats(into: &values)
            throw nonFinite(first + (FloatConversion.firstNonFinite(values, count: values.count) ?? 0))
        }
        return absmax
    }

    /// - Throws: `QuantizationError.scalesOverflow`.
    func encodeScales(_ absmax: [Float], name: String, origin: String, pool: ThreadPool?) throws -> EncodedScales {
        guard double else { return EncodedScales(absmax: absmax.withUnsafeBytes { Array($0) }) }
        let offset = NF4Kernels.mean(absmax, count: absmax.count)
        guard offset.isFinite else { throw QuantizationError.scalesOverflow(path: origin, tensor: name) }
        var codes = [UInt8](repeating: 0, count: absmax.count)
        var nested = [Float](repeating: 0, count: NF4Layout.nestedBlockCount(absmax.count * NF4Layout.blockSize))
        NF4Kernels.quantizeScales(absmax, count: absmax.count, offset: offset, rounding: rounding, codes: &codes, nestedAbsmax: &nested, pool: pool)
        return EncodedScales(absmax: codes, nestedAbsmax: nested, nestedOffset: offset)
    }

    /// An owner for bytes that somebody else keeps.
    private static let none = ByteBuffer(count: 0)
}

/// Memory of its own, aligned to 64 bytes.
///
/// Unchecked: filled by its maker, never written after.
package final class ByteBuffer: @unchecked Sendable {
    package let base: UnsafeMutableRawPointer
    package let count: Int

    package init(count: Int) {
        base = .allocate(byteCount: max(count, 1), alignment: ArenaLayout.alignmentBytes)
        self.count = count
    }

    convenience init<Element: BitwiseCopyable>(_ elements: [Element]) {
        self.init(count: elements.count * MemoryLayout<Element>.stride)
        elements.withUnsafeBytes { bytes in
            if let source = bytes.baseAddress { base.copyMemory(from: source, byteCount: bytes.count) }
        }
    }

    deinit { base.deallocate() }
}

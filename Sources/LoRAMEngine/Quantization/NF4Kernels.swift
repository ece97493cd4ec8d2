internal import CLoRAMKernels

/// The C kernels of loram_nf4.h in Swift's types. Sources and targets may start at any byte.
enum NF4Kernels {
    /// Elements that a thread quantizes or decodes at a time: whole blocks, so that the cut does not show.
    static let taskElementCount = 1 << 16

    /// The 16 values of NF4, ascending.
    static let codes: [Float] = withUnsafeBytes(of: loram_nf4_codes) { Array($0.bindMemory(to: Float.self)) }
    /// The 256 values to which double quantization rounds scales.
    static let dynamicMap = Array(UnsafeBufferPointer(start: loram_nf4_dynamic_map(), count: 256))

    /// Codes and block maxima of `count` elements; a part of a tensor starts at a multiple of 64.
    ///
    /// - Parameter dtype: F32, F16 or BF16, of `source`.
    static func quantize(
        _ source: UnsafeRawPointer, dtype: DType, count: Int, codes: UnsafeMutableRawPointer, absmax: UnsafeMutablePointer<Float>, pool: ThreadPool?
    ) {
        let element = element(dtype)
        func run(_ first: Int, _ count: Int) {
            let status = loram_nf4_quantize(
                nil, source + first * dtype.byteCount, element, count, codes + first / 2, absmax + first / NF4Layout.blockSize)
            precondition(status == 0, "quantizing \(dtype)")
        }
        guard let pool, count > taskElementCount else { return run(0, count) }
        pool.runBlocks(count, of: taskElementCount) { elements, _ in run(elements.lowerBound, elements.count) }
    }

    /// The mean by which double quantization shifts the scales, summed in the order of torch on one thread.
    static func mean(_ values: UnsafePointer<Float>, count: Int) -> Float { loram_nf4_mean(values, count, 1) }

    static func quantizeScales(
        _ absmax: UnsafePointer<Float>, count: Int, offset: Float, rounding: Quantizer.ScaleRounding, codes: UnsafeMutablePointer<UInt8>,
        nestedAbsmax: UnsafeMutablePointer<Float>, pool: ThreadPool?
    ) {
        func run(_ first: Int, _ count: Int) {
            loram_nf4_quantize_scales(
                absmax + first, count, offset, rounding == .nearest ? LORAM_NF4_NEAREST : LORAM_NF4_BINNED, codes + first,
                nestedAbsmax + first / NF4Layout.nestedBlockSize)
        }
        let block = 16 * NF4Layout.nestedBlockSize
        guard let pool, count > block else { return run(0, count) }
        pool.runBlocks(count, of: block) { scales, _ in run(scales.lowerBound, scales.count) }
    }

    /// Scales of blocks `first ..< first + count`.
    static func decodeScales(_ scales: NF4Tensor.Scales, first: Int, count: Int, into absmax: UnsafeMutablePointer<Float>) {
        var scales = scales.c
        loram_nf4_decode_scales(&scales, first, count, absmax)
    }

    /// Elements `first ..< first + count` of a tensor of `total`, as f32 without rounding to another type.
    static func dequantize(
        _ codes: UnsafeRawPointer, _ scales: NF4Tensor.Scales, total: Int, first: Int, count: Int, into destination: UnsafeMutablePointer<Float>
    ) {
        var scales = scales.c
        let status = loram_nf4_dequantize(nil, codes, &scales, total, first, count, destination, LORAM_ELEMENT_F32)
        precondition(status == 0, "elements outside of the tensor")
    }

    private static func element(_ dtype: DType) -> loram_element {
        switch dtype {
        case .f32: LORAM_ELEMENT_F32
        case .bf16: LORAM_ELEMENT_BF16
        case .f16: LORAM_ELEMENT_F16
        default: preconditionFailure("quantizing \(dtype)")
        }
    }
}

extension NF4Tensor.Scales {
    /// For the C kernels; valid as long as the tensor.
    var c: loram_nf4_scales {
        loram_nf4_scales(absmax: absmax, nested_absmax: nestedAbsmax, nested_map: nestedMap, nested_offset: nestedOffset, rounds_bf16: 0)
    }
}

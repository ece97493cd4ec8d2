internal import CLoRAMKernels

/// A weight [rows, columns] as it lies in memory: f32, f16, bf16 or NF4, at any alignment. Whoever makes it keeps the memory alive.
struct WeightMatrix {
    let c: loram_weight

    var rowCount: Int { c.rows }
    var columnCount: Int { c.columns }

    init(_ values: UnsafeRawPointer, element: loram_element, rows: Int, columns: Int) {
        c = loram_weight(
            element: element, rows: rows, columns: columns, data: values, row_stride: columns,
            scales: loram_nf4_scales(absmax: nil, nested_absmax: nil, nested_map: nil, nested_offset: 0, rounds_bf16: 0))
    }

    init(f32 values: UnsafePointer<Float>, rows: Int, columns: Int) {
        self.init(UnsafeRawPointer(values), element: LORAM_ELEMENT_F32, rows: rows, columns: columns)
    }

    /// NF4 with its scales. `dtype`: of the weight before, to which its values are rounded.
    init(nf4 codes: UnsafeRawPointer, scales: loram_nf4_scales, dtype: DType, rows: Int, columns: Int) {
        var scales = scales
        scales.rounds_bf16 = dtype == .bf16 ? 1 : 0
        c = loram_weight(element: LORAM_ELEMENT_NF4, rows: rows, columns: columns, data: codes, row_stride: columns, scales: scales)
    }

    /// One row as Float, for the embedding. Not for NF4.
    func copyRow(_ row: Int, into destination: UnsafeMutablePointer<Float>) {
        let count = c.columns
        switch c.element {
        case LORAM_ELEMENT_BF16: FloatConversion.floats(fromBF16: c.data + row * count * 2, count: count, into: destination)
        case LORAM_ELEMENT_F16: FloatConversion.floats(fromF16: c.data + row * count * 2, count: count, into: destination)
        default: FloatConversion.floats(fromF32: c.data + row * count * 4, count: count, into: destination)
        }
    }
}

extension DType {
    /// How the kernels name this type; nil for types that no weight has.
    var element: loram_element? {
        switch self {
        case .f32: LORAM_ELEMENT_F32
        case .f16: LORAM_ELEMENT_F16
        case .bf16: LORAM_ELEMENT_BF16
        default: nil
        }
    }
}

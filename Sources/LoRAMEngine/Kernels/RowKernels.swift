internal import CLoRAMKernels

/// Element-wise and row-wise kernels over all tokens, cut into blocks of rows for the pool.
///
/// Shapes: N tokens, D hidden size, F MLP width. The kernels' formulas stand in loram_kernels.h.
enum RowKernels {
    static let rowBlock = 64

    /// y = x * rstd * gain; keeps rstd [N].
    static func rmsNorm(
        _ pool: ThreadPool, _ y_ND: UnsafeMutablePointer<Float>, rstd_N: UnsafeMutablePointer<Float>, _ x_ND: UnsafePointer<Float>,
        gain_D: UnsafePointer<Float>, N: Int, D: Int, epsilon: Float
    ) {
        pool.runBlocks(N, of: rowBlock) { rows, _ in
            let at = rows.lowerBound * D
            loram_rmsnorm_forward(y_ND + at, rstd_N + rows.lowerBound, x_ND + at, gain_D, rows.count, D, epsilon)
        }
    }

    /// dx += the norm's input gradient; `dgain_D`, where the gain is trained, accumulates its gradient over rows in order.
    static func rmsNormBackward(
        _ pool: ThreadPool, dx_ND: UnsafeMutablePointer<Float>, dgain_D: UnsafeMutablePointer<Float>?, dy_ND: UnsafePointer<Float>,
        x_ND: UnsafePointer<Float>, gain_D: UnsafePointer<Float>, rstd_N: UnsafePointer<Float>, N: Int, D: Int
    ) {
        pool.runBlocks(N, of: rowBlock) { rows, _ in
            let at = rows.lowerBound * D
            loram_rmsnorm_backward(dx_ND + at, dy_ND + at, x_ND + at, gain_D, rstd_N + rows.lowerBound, rows.count, D)
        }
        if let dgain_D {
            pool.runBlocks(D, of: 128) { columns, _ in
                loram_rmsnorm_weight_gradient(dgain_D, dy_ND, x_ND, rstd_N, N, D, columns.lowerBound, columns.upperBound)
            }
        }
    }

    /// Rotates q or k in place; `sign` -1 is the inverse, which is also the gradient. `rounds`: to bf16 values.
    static func rope(
        _ pool: ThreadPool, _ x: UnsafeMutablePointer<Float>, N: Int, heads: Int, table: RotaryTable, positions: UnsafePointer<Int32>, sign: Float,
        rounds: Bool = false
    ) {
        let d = table.headDim
        pool.runBlocks(N, of: rowBlock) { rows, _ in
            loram_rope(x + rows.lowerBound * heads * d, rows.count, heads, d, positions + rows.lowerBound, table.cosine, table.sine, sign, rounds ? 1 : 0)
        }
    }

    /// `keeping`: where gate and up, which hold bf16 values, are kept at the same time.
    static func swiGLU(
        _ pool: ThreadPool, _ h_NF: UnsafeMutablePointer<Float>, gate_NF: UnsafePointer<Float>, up_NF: UnsafePointer<Float>, keeping kept: KeptMLP?,
        count: Int
    ) {
        pool.runBlocks(count, of: 1 << 15) { range, _ in
            let at = range.lowerBound
            if let kept {
                loram_swiglu_forward_keeping(h_NF + at, kept.gate_NF + at, kept.up_NF + at, gate_NF + at, up_NF + at, range.count)
            } else {
                loram_swiglu_forward(h_NF + at, gate_NF + at, up_NF + at, range.count)
            }
        }
    }

    /// From what was kept.
    static func swiGLU(_ pool: ThreadPool, _ h_NF: UnsafeMutablePointer<Float>, kept: KeptMLP, count: Int) {
        pool.runBlocks(count, of: 1 << 15) { range, _ in
            let at = range.lowerBound
            loram_swiglu_forward_bf16(h_NF + at, kept.gate_NF + at, kept.up_NF + at, range.count)
        }
    }

    /// Writes the gradients over gate and up, which are read from what was kept, if anything was.
    static func swiGLUBackward(
        _ pool: ThreadPool, gate_NF: UnsafeMutablePointer<Float>, up_NF: UnsafeMutablePointer<Float>, kept: KeptMLP?, dh_NF: UnsafePointer<Float>,
        count: Int
    ) {
        pool.runBlocks(count, of: 1 << 15) { range, _ in
            let at = range.lowerBound
            if let kept {
                loram_swiglu_backward_bf16(gate_NF + at, up_NF + at, dh_NF + at, kept.gate_NF + at, kept.up_NF + at, range.count)
            } else {
                loram_swiglu_backward(gate_NF + at, up_NF + at, dh_NF + at, gate_NF + at, up_NF + at, range.count)
            }
        }
    }

    static func embedding(_ pool: ThreadPool, _ x_ND: UnsafeMutablePointer<Float>, table: WeightMatrix, ids_N: UnsafePointer<Int32>, N: Int, D: Int) {
        pool.runBlocks(N, of: rowBlock) { rows, _ in
            for row in rows { table.copyRow(Int(ids_N[row]), into: x_ND + row * D) }
        }
    }

    /// Cut by columns, so that a token that occurs twice is added in order.
    static func embeddingBackward(_ pool: ThreadPool, dtable_VD: UnsafeMutablePointer<Float>, dx_ND: UnsafePointer<Float>, ids_N: UnsafePointer<Int32>, N: Int, D: Int) {
        pool.runBlocks(D, of: 64) { columns, _ in
            loram_embedding_backward(dtable_VD, dx_ND, ids_N, N, D, columns.lowerBound, columns.upperBound)
        }
    }

    static func copy(_ pool: ThreadPool, _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
        pool.runBlocks(count, of: 1 << 16) { range, _ in
            (y + range.lowerBound).update(from: x + range.lowerBound, count: range.count)
        }
    }
}

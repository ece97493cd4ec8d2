internal import CLoRAMKernels

/// y = x W^T (+ s (x A^T) B^T): one linear layer, its weight frozen or trained, with or without low-rank matrices.
///
/// Legend: N tokens, I input features, O output features, R rank. W [O, I], A [R, I], B [O, R], hidden = dropout(x) A^T [N, R].
struct Linear {
    let outCount: Int
    let inCount: Int
    let weight_OI: UnsafePointer<Float>
    /// Offset of dW in the gradient buffer; nil when W is frozen.
    let weightGradientOffset: Int?
    let lowRank: LowRank?

    /// The trained factors of one site and where their gradients go.
    struct LowRank {
        let rank: Int
        let scale: Float
        let a_RI: UnsafePointer<Float>
        let b_OR: UnsafePointer<Float>
        let aGradientOffset: Int
        let bGradientOffset: Int
        /// Key of this site's dropout decisions.
        let dropoutKey: UInt64
    }

    /// y = residual + x W^T + s hidden B^T. `residual` [N, O] may be nil. Writes `hidden_NR` where there are low-rank matrices.
    func forward(
        _ step: StepContext, y_NO: UnsafeMutablePointer<Float>, x_NI: UnsafePointer<Float>, residual_NO: UnsafePointer<Float>? = nil,
        hidden_NR: UnsafeMutablePointer<Float>, rows rowCount: Int, rowKeys: UnsafePointer<UInt64>
    ) {
        if let lowRank { project(step, lowRank, hidden_NR, x_NI, rowCount, rowKeys) }
        let tiling = MatrixProduct.Tiling(rows: rowCount, columns: outCount)
        step.pool.run(tiling.count) { index, _ in
            let rows = tiling.rows(index, of: rowCount), columns = tiling.columns(index, of: outCount)
            let y = y_NO + rows.lowerBound * outCount + columns.lowerBound
            if let residual_NO {
                for row in rows {
                    let at = row * outCount + columns.lowerBound
                    (y_NO + at).update(from: residual_NO + at, count: columns.count)
                }
            }
            MatrixProduct.tile(
                rows.count, columns.count, inCount, x_NI + rows.lowerBound * inCount, inCount,
                weight_OI + columns.lowerBound * inCount, inCount, transposeB: true, y, outCount, accumulate: residual_NO != nil)
            if let lowRank {
                MatrixProduct.tile(
                    rows.count, columns.count, lowRank.rank, hidden_NR + rows.lowerBound * lowRank.rank, lowRank.rank,
                    lowRank.b_OR + columns.lowerBound * lowRank.rank, lowRank.rank, transposeB: true, y, outCount,
                    alpha: lowRank.scale, accumulate: true)
            }
        }
    }

    /// Only hidden = dropout(x) A^T, for a recomputation that does not need y.
    func projectHidden(
        _ step: StepContext, hidden_NR: UnsafeMutablePointer<Float>, x_NI: UnsafePointer<Float>, rows rowCount: Int, rowKeys: UnsafePointer<UInt64>
    ) {
        if let lowRank { project(step, lowRank, hidden_NR, x_NI, rowCount, rowKeys) }
    }

    /// Adds this layer's gradients to the step's gradient buffer and, where wanted, writes or adds the input gradient.
    /// - Parameters:
    ///   - dx_NI: nil when nothing below this layer needs a gradient.
    ///   - hidden_NR: as `forward` left it.
    ///   - hiddenGradient_NR: scratch.
    func backward(
        _ step: StepContext, dx_NI: UnsafeMutablePointer<Float>?, accumulate: Bool, dy_NO: UnsafePointer<Float>, x_NI: UnsafePointer<Float>,
        hidden_NR: UnsafePointer<Float>, hiddenGradient_NR: UnsafeMutablePointer<Float>, rows rowCount: Int, rowKeys: UnsafePointer<UInt64>
    ) {
        if let offset = weightGradientOffset {
            let dW_OI = step.gradients + offset
            let tiling = MatrixProduct.Tiling(rows: outCount, columns: inCount)
            step.pool.run(tiling.count) { index, _ in
                let rows = tiling.rows(index, of: outCount), columns = tiling.columns(index, of: inCount)
                MatrixProduct.tile(
                    rows.count, columns.count, rowCount, dy_NO + rows.lowerBound, outCount, transposeA: true,
                    x_NI + columns.lowerBound, inCount, dW_OI + rows.lowerBound * inCount + columns.lowerBound, inCount, accumulate: true)
            }
        }
        if let lowRank {
            lowRankGradients(step, lowRank, dy_NO, x_NI, hidden_NR, hiddenGradient_NR, rowCount, rowKeys)
        }
        guard let dx_NI else { return }
        let tiling = MatrixProduct.Tiling(rows: rowCount, columns: inCount)
        step.pool.run(tiling.count) { index, worker in
            let rows = tiling.rows(index, of: rowCount), columns = tiling.columns(index, of: inCount)
            let dx = dx_NI + rows.lowerBound * inCount + columns.lowerBound
            MatrixProduct.tile(
                rows.count, columns.count, outCount, dy_NO + rows.lowerBound * outCount, outCount,
                weight_OI + columns.lowerBound, inCount, dx, inCount, accumulate: accumulate)
            guard let lowRank else { return }
            let hiddenGradient = hiddenGradient_NR + rows.lowerBound * lowRank.rank
            let a = lowRank.a_RI + columns.lowerBound
            if let dropout = step.dropout {
                let tile = step.scratch(worker)
                MatrixProduct.tile(
                    rows.count, columns.count, lowRank.rank, hiddenGradient, lowRank.rank, a, inCount, tile, columns.count, accumulate: false)
                loram_dropout(
                    dx, inCount, tile, columns.count, rows.count, columns.lowerBound, columns.count, rowKeys + rows.lowerBound,
                    lowRank.dropoutKey, dropout.threshold, dropout.scale, 1)
            } else {
                MatrixProduct.tile(
                    rows.count, columns.count, lowRank.rank, hiddenGradient, lowRank.rank, a, inCount, dx, inCount, accumulate: true)
            }
        }
    }

    /// hidden = dropout(x) A^T.
    private func project(
        _ step: StepContext, _ lowRank: LowRank, _ hidden_NR: UnsafeMutablePointer<Float>, _ x_NI: UnsafePointer<Float>, _ rowCount: Int,
        _ rowKeys: UnsafePointer<UInt64>
    ) {
        step.pool.runBlocks(rowCount, of: 128) { rows, worker in
            let hidden = hidden_NR + rows.lowerBound * lowRank.rank
            let x = x_NI + rows.lowerBound * inCount
            guard let dropout = step.dropout else {
                MatrixProduct.tile(
                    rows.count, lowRank.rank, inCount, x, inCount, lowRank.a_RI, inCount, transposeB: true, hidden, lowRank.rank, accumulate: false)
                return
            }
            let tile = step.scratch(worker)
            var column = 0
            while column < inCount {
                let width = min(512, inCount - column)
                loram_dropout(
                    tile, width, x + column, inCount, rows.count, column, width, rowKeys + rows.lowerBound, lowRank.dropoutKey,
                    dropout.threshold, dropout.scale, 0)
                MatrixProduct.tile(
                    rows.count, lowRank.rank, width, tile, width, lowRank.a_RI + column, inCount, transposeB: true, hidden, lowRank.rank,
                    accumulate: column > 0)
                column += width
            }
        }
    }

    /// hiddenGradient = s dy B; dB += s dy^T hidden; dA += hiddenGradient^T dropout(x).
    private func lowRankGradients(
        _ step: StepContext, _ lowRank: LowRank, _ dy_NO: UnsafePointer<Float>, _ x_NI: UnsafePointer<Float>, _ hidden_NR: UnsafePointer<Float>,
        _ hiddenGradient_NR: UnsafeMutablePointer<Float>, _ rowCount: Int, _ rowKeys: UnsafePointer<UInt64>
    ) {
        let rank = lowRank.rank
        step.pool.runBlocks(rowCount, of: 128) { rows, _ in
            MatrixProduct.tile(
                rows.count, rank, outCount, dy_NO + rows.lowerBound * outCount, outCount, lowRank.b_OR, rank,
                hiddenGradient_NR + rows.lowerBound * rank, rank, alpha: lowRank.scale, accumulate: false)
        }
        let dB_OR = step.gradients + lowRank.bGradientOffset
        step.pool.runBlocks(outCount, of: 256) { outs, _ in
            MatrixProduct.tile(
                outs.count, rank, rowCount, dy_NO + outs.lowerBound, outCount, transposeA: true, hidden_NR, rank,
                dB_OR + outs.lowerBound * rank, rank, alpha: lowRank.scale, accumulate: true)
        }
        let dA_RI = step.gradients + lowRank.aGradientOffset
        step.pool.runBlocks(inCount, of: 256) { columns, worker in
            guard let dropout = step.dropout else {
                MatrixProduct.tile(
                    rank, columns.count, rowCount, hiddenGradient_NR, rank, transposeA: true, x_NI + columns.lowerBound, inCount,
                    dA_RI + columns.lowerBound, inCount, accumulate: true)
                return
            }
            let tile = step.scratch(worker)
            var row = 0
            while row < rowCount {
                let height = min(512, rowCount - row)
                loram_dropout(
                    tile, columns.count, x_NI + row * inCount + columns.lowerBound, inCount, height, columns.lowerBound, columns.count,
                    rowKeys + row, lowRank.dropoutKey, dropout.threshold, dropout.scale, 0)
                MatrixProduct.tile(
                    rank, columns.count, height, hiddenGradient_NR + row * rank, rank, transposeA: true, tile, columns.count,
                    dA_RI + columns.lowerBound, inCount, accumulate: true)
                row += height
            }
        }
    }
}

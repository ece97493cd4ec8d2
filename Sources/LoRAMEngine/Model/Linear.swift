internal import CLoRAMKernels

/// y = x W^T (+ s (x A^T) B^T): one linear layer, its weight frozen or trained, with or without low-rank matrices.
///
/// Legend: N tokens, I input features, O output features, R rank. W [O, I], A [R, I], B [O, R], hidden = dropout(x) A^T [N, R].
struct Linear {
    let weight_OI: WeightMatrix
    /// Offset of dW in the gradient buffer; nil when W is frozen.
    let weightGradientOffset: Int?
    let lowRank: LowRank?

    private var outCount: Int { weight_OI.rowCount }
    private var inCount: Int { weight_OI.columnCount }

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
        /// Multiplies B A (`Linear+Masked`); nil where nothing does.
        var mask: UnsafePointer<UInt8>?
    }

    /// y = residual + x W^T + s hidden B^T. `residual` [N, O] may be nil. Writes `hidden_NR` where there are low-rank matrices.
    func forward(
        _ step: StepContext, y_NO: UnsafeMutablePointer<Float>, x_NI: UnsafePointer<Float>, residual_NO: UnsafePointer<Float>? = nil,
        hidden_NR: UnsafeMutablePointer<Float>, rows rowCount: Int, rowKeys: UnsafePointer<UInt64>
    ) {
        projectHidden(step, hidden_NR: hidden_NR, x_NI: x_NI, rows: rowCount, rowKeys: rowKeys)
        if let residual_NO { RowKernels.copy(step.pool, y_NO, residual_NO, count: rowCount * outCount) }
        let product = plainLowRank.map {
            loram_low_rank(
                left: UnsafePointer(hidden_NR), left_stride: $0.rank, right: $0.b_OR, right_stride: $0.rank, rank: $0.rank, scale: $0.scale)
        }
        step.products.forward(
            y_NO, x_NI, weight_OI, rows: rowCount, accumulate: residual_NO != nil, lowRank: product)
        if let lowRank, let mask = lowRank.mask {
            addMasked(step, lowRank, mask: mask, y_NO: y_NO, x_NI: x_NI, rows: rowCount, rowKeys: rowKeys)
        }
    }

    /// The low-rank matrices that are used as such.
    private var plainLowRank: LowRank? { lowRank?.mask == nil ? lowRank : nil }

    /// Only hidden = dropout(x) A^T, for a recomputation that does not need y.
    func projectHidden(
        _ step: StepContext, hidden_NR: UnsafeMutablePointer<Float>, x_NI: UnsafePointer<Float>, rows rowCount: Int, rowKeys: UnsafePointer<UInt64>
    ) {
        guard let lowRank = plainLowRank else { return }
        guard let dropout = step.dropout else {
            return step.products.project(hidden_NR, x_NI, lowRank.a_RI, rows: rowCount, columns: inCount, rank: lowRank.rank)
        }
        step.pool.runBlocks(rowCount, of: 128) { rows, worker in
            let hidden = hidden_NR + rows.lowerBound * lowRank.rank
            let x = x_NI + rows.lowerBound * inCount, tile = step.scratch(worker)
            for column in stride(from: 0, to: inCount, by: 512) {
                let width = min(512, inCount - column)
                loram_dropout(
                    tile, width, x + column, inCount, rows.count, column, width, rowKeys + rows.lowerBound, lowRank.dropoutKey,
                    dropout.threshold, dropout.scale, 0)
                MatrixProduct.tile(
                    rows.count, lowRank.rank, width, tile, width, lowRank.a_RI + column, inCount, transposeB: true, hidden, lowRank.rank,
                    accumulate: column > 0)
            }
        }
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
            step.products.weightGradient(step.gradients + offset, dy_NO, x_NI, rows: rowCount, outputs: outCount, inputs: inCount)
        }
        if let lowRank = plainLowRank { lowRankGradients(step, lowRank, dy_NO, x_NI, hidden_NR, hiddenGradient_NR, rowCount, rowKeys) }
        if let lowRank, let mask = lowRank.mask {
            if let dx_NI { step.products.inputGradient(dx_NI, dy_NO, weight_OI, rows: rowCount, accumulate: accumulate, lowRank: nil) }
            return maskedBackward(step, lowRank, mask: mask, dx_NI: dx_NI, dy_NO: dy_NO, x_NI: x_NI, rows: rowCount, rowKeys: rowKeys)
        }
        guard let dx_NI else { return }
        let product = step.dropout != nil ? nil : lowRank.map {
            loram_low_rank(
                left: UnsafePointer(hiddenGradient_NR), left_stride: $0.rank, right: $0.a_RI, right_stride: inCount, rank: $0.rank, scale: 1)
        }
        step.products.inputGradient(dx_NI, dy_NO, weight_OI, rows: rowCount, accumulate: accumulate, lowRank: product)
        guard let lowRank, let dropout = step.dropout else { return }
        // dx += dropout(hiddenGradient A): the mask stands between the two, so it is no part of the product above.
        step.pool.runBlocks(rowCount, of: 128) { rows, worker in
            let tile = step.scratch(worker)
            for column in stride(from: 0, to: inCount, by: 512) {
                let width = min(512, inCount - column)
                MatrixProduct.tile(
                    rows.count, width, lowRank.rank, hiddenGradient_NR + rows.lowerBound * lowRank.rank, lowRank.rank, lowRank.a_RI + column,
                    inCount, tile, width, accumulate: false)
                loram_dropout(
                    dx_NI + rows.lowerBound * inCount + column, inCount, tile, width, rows.count, column, width, rowKeys + rows.lowerBound,
                    lowRank.dropoutKey, dropout.threshold, dropout.scale, 1)
            }
        }
    }

    /// hiddenGradient = s dy B; dB += s dy^T hidden; dA += hiddenGradient^T dropout(x).
    private func lowRankGradients(
        _ step: StepContext, _ lowRank: LowRank, _ dy_NO: UnsafePointer<Float>, _ x_NI: UnsafePointer<Float>, _ hidden_NR: UnsafePointer<Float>,
        _ hiddenGradient_NR: UnsafeMutablePointer<Float>, _ rowCount: Int, _ rowKeys: UnsafePointer<UInt64>
    ) {
        let rank = lowRank.rank, products = step.products
        products.projectTransposed(hiddenGradient_NR, dy_NO, lowRank.b_OR, rows: rowCount, columns: outCount, rank: rank, scale: lowRank.scale)
        products.gradientB(step.gradients + lowRank.bGradientOffset, dy_NO, hidden_NR, rows: rowCount, columns: outCount, rank: rank, scale: lowRank.scale)
        let dA_RI = step.gradients + lowRank.aGradientOffset
        guard let dropout = step.dropout else {
            return products.gradientA(dA_RI, hiddenGradient_NR, x_NI, rows: rowCount, columns: inCount, rank: rank)
        }
        step.pool.runBlocks(inCount, of: 256) { columns, worker in
            let tile = step.scratch(worker)
            for row in stride(from: 0, to: rowCount, by: 512) {
                let height = min(512, rowCount - row)
                loram_dropout(
                    tile, columns.count, x_NI + row * inCount + columns.lowerBound, inCount, height, columns.lowerBound, columns.count,
                    rowKeys + row, lowRank.dropoutKey, dropout.threshold, dropout.scale, 0)
                MatrixProduct.tile(
                    rank, columns.count, height, hiddenGradient_NR + row * rank, rank, transposeA: true, tile, columns.count,
                    dA_RI + columns.lowerBound, inCount, accumulate: true)
            }
        }
    }
}

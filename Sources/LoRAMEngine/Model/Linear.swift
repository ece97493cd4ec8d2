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

        /// What dropout does to the site's input; nil where there is none.
        func dropout(_ step: StepContext, _ rowKeys: UnsafePointer<UInt64>) -> loram_dropout_mask? {
            step.dropout.map { loram_dropout_mask(row_keys: rowKeys, key: dropoutKey, threshold: $0.threshold, scale: $0.scale) }
        }
    }

    /// y = residual + x W^T + s hidden B^T, with `hidden_NR` as `projectHidden` left it. `residual` [N, O] may be nil. `isKept`: backward
    /// needs y, which under bf16 compute is therefore rounded. `previous`: the layer whose forward pass on the same x has just run.
    func forward(
        _ step: StepContext, y_NO: UnsafeMutablePointer<Float>, x_NI: UnsafePointer<Float>, residual_NO: UnsafePointer<Float>? = nil,
        hidden_NR: UnsafePointer<Float>, rows rowCount: Int, rowKeys: UnsafePointer<UInt64>, isKept: Bool = false,
        after previous: Linear? = nil
    ) {
        let product = plainLowRank.map {
            loram_low_rank(left: hidden_NR, left_stride: $0.rank, right: $0.b_OR, right_stride: $0.rank, rank: $0.rank, scale: $0.scale)
        }
        let rounds = isKept && step.products.keepsBF16
        step.products.forward(
            y_NO, x_NI, weight_OI, rows: rowCount, start_NO: residual_NO, rounds: rounds && mask == nil,
            again: previous.map { $0.mask == nil } ?? false, lowRank: product)
        if let lowRank, let mask {
            addMasked(step, lowRank, mask: mask, y_NO: y_NO, x_NI: x_NI, rows: rowCount, rowKeys: rowKeys, rounds: rounds)
        }
    }

    /// Of the low-rank product (`Linear+Masked`).
    private var mask: UnsafePointer<UInt8>? { lowRank?.mask }
    /// The low-rank matrices that are used as such.
    private var plainLowRank: LowRank? { mask == nil ? lowRank : nil }

    /// hidden = dropout(x) A^T for sites that have the same input: one reading of x, unless each drops its own part of it.
    static func projectHidden(
        _ step: StepContext, _ sites: [(linear: Linear, hidden_NR: UnsafeMutablePointer<Float>)], x_NI: UnsafePointer<Float>, rows rowCount: Int,
        rowKeys: UnsafePointer<UInt64>
    ) {
        let factors = sites.compactMap { site in site.linear.plainLowRank.map { (h_NR: site.hidden_NR, a_RI: $0.a_RI, rank: $0.rank, lowRank: $0) } }
        guard let columns = sites.first?.linear.inCount, !factors.isEmpty else { return }
        if step.dropout == nil, factors.reduce(0, { $0 + $1.rank }) <= Int(LORAM_RANKS_TOGETHER) {
            step.products.project(x_NI, rows: rowCount, columns: columns, factors.map { ($0.h_NR, $0.a_RI, $0.rank) }, dropout: nil)
        } else {
            for factor in factors {
                step.products.project(
                    x_NI, rows: rowCount, columns: columns, [(factor.h_NR, factor.a_RI, factor.rank)], dropout: factor.lowRank.dropout(step, rowKeys))
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
        if let offset = weightGradientOffset, let (store, layer) = step.deferral {
            store.keep(step.pool, gradientOffset: offset, layer: layer, dy_NO: dy_NO, x_NI: x_NI, outputs: outCount, inputs: inCount)
        } else if let offset = weightGradientOffset {
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
        // The mask stands between the factors and dx, so the term is no part of the product above.
        guard let lowRank, let dropout = lowRank.dropout(step, rowKeys) else { return }
        step.products.addDropped(dx_NI, hiddenGradient_NR, lowRank.a_RI, rows: rowCount, columns: inCount, rank: lowRank.rank, dropout: dropout)
    }

    /// hiddenGradient = s dy B; dB += s dy^T hidden; dA += hiddenGradient^T dropout(x).
    private func lowRankGradients(
        _ step: StepContext, _ lowRank: LowRank, _ dy_NO: UnsafePointer<Float>, _ x_NI: UnsafePointer<Float>, _ hidden_NR: UnsafePointer<Float>,
        _ hiddenGradient_NR: UnsafeMutablePointer<Float>, _ rowCount: Int, _ rowKeys: UnsafePointer<UInt64>
    ) {
        let rank = lowRank.rank, products = step.products
        products.projectTransposed(hiddenGradient_NR, dy_NO, lowRank.b_OR, rows: rowCount, columns: outCount, rank: rank, scale: lowRank.scale)
        products.gradientB(step.gradients + lowRank.bGradientOffset, dy_NO, hidden_NR, rows: rowCount, columns: outCount, rank: rank, scale: lowRank.scale)
        products.gradientA(
            step.gradients + lowRank.aGradientOffset, hiddenGradient_NR, x_NI, rows: rowCount, columns: inCount, rank: rank,
            dropout: lowRank.dropout(step, rowKeys))
    }
}

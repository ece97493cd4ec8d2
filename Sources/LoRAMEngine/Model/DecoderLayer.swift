/// One Llama decoder layer: x + attention(norm(x)), then + MLP(norm(x)).
struct DecoderLayer {
    let geometry: LayerGeometry
    let hiddenSize: Int
    let epsilon: Float
    let gain1_D, gain2_D: UnsafePointer<Float>
    /// Offsets of the norms' gradients; nil when they are frozen.
    let gain1GradientOffset, gain2GradientOffset: Int?
    let q, k, v, o, gate, up, down: Linear
    let attention: Attention
    let rotary: RotaryTable

    /// What a layer must know of the tokens that go through it together, beside their values.
    struct Rows {
        let count: Int
        let positions_N: UnsafePointer<Int32>
        /// Key their dropout.
        let rowKeys_N: UnsafePointer<UInt64>
    }

    /// y = layer(x), both [N, D]. With `y_ND` nil the last product is left out: enough for a backward that follows.
    func forward(_ step: StepContext, _ batch: BatchState, _ kept: LayerActivations, y_ND: UnsafeMutablePointer<Float>?, x_ND: UnsafePointer<Float>) {
        let rows = Rows(count: batch.tokenCount, positions_N: batch.positions_N, rowKeys_N: batch.rowKeys_N)
        forward(step, rows, kept, rotary: rotary, y_ND: y_ND, x_ND: x_ND) {
            attention.forward(
                step, batch, o_NHd: kept.attended_NHd, lse_NH: kept.lse_NH, q_NHd: kept.q_NHd, k_NKd: kept.k_NKd, v_NKd: kept.v_NKd)
        }
    }

    /// The same with somebody's attention: `attend` makes `kept.attended_NHd` of q, k and v, whose positions are in them by then.
    func forward(
        _ step: StepContext, _ rows: Rows, _ kept: LayerActivations, rotary: RotaryTable, y_ND: UnsafeMutablePointer<Float>?,
        x_ND: UnsafePointer<Float>, attend: () -> Void
    ) {
        let N = rows.count, pool = step.pool, keys = rows.rowKeys_N
        func project(_ sites: [(Linear, Int)], _ x_NI: UnsafePointer<Float>) {
            Linear.projectHidden(step, sites.map { ($0.0, kept.hidden_NR[$0.1]) }, x_NI: x_NI, rows: N, rowKeys: keys)
        }
        normalize1(pool, kept, x_ND, N)
        project([(q, 0), (k, 1), (v, 2)], kept.normed1_ND)
        q.forward(step, y_NO: kept.q_NHd, x_NI: kept.normed1_ND, hidden_NR: kept.hidden_NR[0], rows: N, rowKeys: keys)
        k.forward(step, y_NO: kept.k_NKd, x_NI: kept.normed1_ND, hidden_NR: kept.hidden_NR[1], rows: N, rowKeys: keys, after: q)
        v.forward(step, y_NO: kept.v_NKd, x_NI: kept.normed1_ND, hidden_NR: kept.hidden_NR[2], rows: N, rowKeys: keys, isKept: true, after: k)
        for (x, heads) in [(kept.q_NHd, geometry.headCount), (kept.k_NKd, geometry.keyValueHeadCount)] {
            RowKernels.rope(
                pool, x, N: N, heads: heads, table: rotary, positions: rows.positions_N, sign: 1, rounds: step.products.keepsBF16)
        }
        attend()
        project([(o, 3)], kept.attended_NHd)
        // The residual stream stays f32 on its way; a recomputation, which serves backward alone, makes what backward is given elsewhere.
        o.forward(
            step, y_NO: kept.middle_ND, x_NI: kept.attended_NHd, residual_NO: x_ND, hidden_NR: kept.hidden_NR[3], rows: N, rowKeys: keys, isKept: y_ND == nil)
        normalize2(pool, kept, N)
        project([(gate, 4), (up, 5)], kept.normed2_ND)
        gate.forward(step, y_NO: kept.gate_NF, x_NI: kept.normed2_ND, hidden_NR: kept.hidden_NR[4], rows: N, rowKeys: keys, isKept: true)
        up.forward(step, y_NO: kept.up_NF, x_NI: kept.normed2_ND, hidden_NR: kept.hidden_NR[5], rows: N, rowKeys: keys, isKept: true, after: gate)
        RowKernels.swiGLU(
            pool, kept.product_NF, gate_NF: kept.gate_NF, up_NF: kept.up_NF, keeping: kept.keptMLP, count: N * geometry.intermediateSize)
        project([(down, 6)], kept.product_NF)
        guard let y_ND else { return }
        down.forward(step, y_NO: y_ND, x_NI: kept.product_NF, residual_NO: kept.middle_ND, hidden_NR: kept.hidden_NR[6], rows: N, rowKeys: keys)
    }

    /// Computes again what follows from the layer's input and its kept products without a matrix: the norms and the MLP's product.
    func recomputeElementwise(_ step: StepContext, _ batch: BatchState, _ kept: LayerActivations, x_ND: UnsafePointer<Float>) {
        let N = batch.tokenCount, pool = step.pool
        normalize1(pool, kept, x_ND, N)
        normalize2(pool, kept, N)
        let count = N * geometry.intermediateSize
        if let mlp = kept.keptMLP {
            RowKernels.swiGLU(pool, kept.product_NF, kept: mlp, count: count)
        } else {
            RowKernels.swiGLU(pool, kept.product_NF, gate_NF: kept.gate_NF, up_NF: kept.up_NF, keeping: nil, count: count)
        }
    }

    private func normalize1(_ pool: ThreadPool, _ kept: LayerActivations, _ x_ND: UnsafePointer<Float>, _ N: Int) {
        RowKernels.rmsNorm(pool, kept.normed1_ND, rstd_N: kept.rstd1_N, x_ND, gain_D: gain1_D, N: N, D: hiddenSize, epsilon: epsilon)
    }

    private func normalize2(_ pool: ThreadPool, _ kept: LayerActivations, _ N: Int) {
        RowKernels.rmsNorm(pool, kept.normed2_ND, rstd_N: kept.rstd2_N, kept.middle_ND, gain_D: gain2_D, N: N, D: hiddenSize, epsilon: epsilon)
    }

    /// Turns `dx_ND` from the gradient of the layer's output into that of its input, and adds the trained tensors' gradients.
    /// Overwrites `kept`'s gate and up. With `needsInputGradient` false, what only dx needs is left out and dx holds nothing of use.
    func backward(
        _ step: StepContext, _ batch: BatchState, _ kept: LayerActivations, _ scratch: BackwardScratch, dx_ND: UnsafeMutablePointer<Float>,
        x_ND: UnsafePointer<Float>, needsInputGradient: Bool
    ) {
        let N = batch.tokenCount, pool = step.pool, keys = batch.rowKeys_N, dh = scratch.dhidden_NR
        down.backward(
            step, dx_NI: scratch.dproduct_NF, accumulate: false, dy_NO: dx_ND, x_NI: kept.product_NF, hidden_NR: kept.hidden_NR[6],
            hiddenGradient_NR: dh, rows: N, rowKeys: keys)
        RowKernels.swiGLUBackward(
            pool, gate_NF: kept.gate_NF, up_NF: kept.up_NF, kept: kept.keptMLP, dh_NF: scratch.dproduct_NF, count: N * geometry.intermediateSize)
        gate.backward(
            step, dx_NI: scratch.dnormed_ND, accumulate: false, dy_NO: kept.gate_NF, x_NI: kept.normed2_ND, hidden_NR: kept.hidden_NR[4],
            hiddenGradient_NR: dh, rows: N, rowKeys: keys)
        up.backward(
            step, dx_NI: scratch.dnormed_ND, accumulate: true, dy_NO: kept.up_NF, x_NI: kept.normed2_ND, hidden_NR: kept.hidden_NR[5],
            hiddenGradient_NR: dh, rows: N, rowKeys: keys)
        RowKernels.rmsNormBackward(
            pool, dx_ND: dx_ND, dgain_D: gain2GradientOffset.map { step.gradients + $0 }, dy_ND: scratch.dnormed_ND, x_ND: kept.middle_ND,
            gain_D: gain2_D, rstd_N: kept.rstd2_N, N: N, D: hiddenSize)
        o.backward(
            step, dx_NI: scratch.dattended_NHd, accumulate: false, dy_NO: dx_ND, x_NI: kept.attended_NHd, hidden_NR: kept.hidden_NR[3],
            hiddenGradient_NR: dh, rows: N, rowKeys: keys)
        attention.backward(
            step, batch, dq_NHd: scratch.dq_NHd, dk_NKd: scratch.dk_NKd, dv_NKd: scratch.dv_NKd, delta_NH: scratch.delta_NH,
            do_NHd: scratch.dattended_NHd, o_NHd: kept.attended_NHd, lse_NH: kept.lse_NH, q_NHd: kept.q_NHd, k_NKd: kept.k_NKd, v_NKd: kept.v_NKd)
        RowKernels.rope(pool, scratch.dq_NHd, N: N, heads: geometry.headCount, table: rotary, positions: batch.positions_N, sign: -1)
        RowKernels.rope(pool, scratch.dk_NKd, N: N, heads: geometry.keyValueHeadCount, table: rotary, positions: batch.positions_N, sign: -1)
        let dnormed = needsInputGradient || gain1GradientOffset != nil ? scratch.dnormed_ND : nil
        q.backward(
            step, dx_NI: dnormed, accumulate: false, dy_NO: scratch.dq_NHd, x_NI: kept.normed1_ND, hidden_NR: kept.hidden_NR[0],
            hiddenGradient_NR: dh, rows: N, rowKeys: keys)
        k.backward(
            step, dx_NI: dnormed, accumulate: true, dy_NO: scratch.dk_NKd, x_NI: kept.normed1_ND, hidden_NR: kept.hidden_NR[1],
            hiddenGradient_NR: dh, rows: N, rowKeys: keys)
        v.backward(
            step, dx_NI: dnormed, accumulate: true, dy_NO: scratch.dv_NKd, x_NI: kept.normed1_ND, hidden_NR: kept.hidden_NR[2],
            hiddenGradient_NR: dh, rows: N, rowKeys: keys)
        guard let dnormed else { return }
        RowKernels.rmsNormBackward(
            pool, dx_ND: dx_ND, dgain_D: gain1GradientOffset.map { step.gradients + $0 }, dy_ND: dnormed, x_ND: x_ND, gain_D: gain1_D,
            rstd_N: kept.rstd1_N, N: N, D: hiddenSize)
    }
}

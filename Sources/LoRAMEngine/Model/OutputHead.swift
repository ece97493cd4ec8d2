internal import CLoRAMKernels

/// Final norm, output projection and cross entropy, over chunks of the positions that carry a label: no N x V matrix exists.
///
/// Legend: N tokens, M of them with a label, C rows of a chunk, D hidden size, V vocabulary, R rank.
struct OutputHead {
    /// Rows of logits that exist at a time: bounded to 256 MiB, by the vocabulary alone. The head's weights are read and packed once for
    /// each chunk, which below some 500 rows costs as much as multiplying them.
    static func chunkRows(vocabularySize: Int) -> Int { max(16, min(512, (64 << 20) / vocabularySize / 16 * 16)) }

    let hiddenSize: Int
    let vocabularySize: Int
    let epsilon: Float
    let gain_D: UnsafePointer<Float>
    let gainGradientOffset: Int?
    let projection: Linear
    let buffers: Buffers

    struct Buffers {
        let gathered_MD, normed_MD, dnormed_MD, rstd_M, logits_CV, hidden_CR, dhidden_CR: UnsafeMutablePointer<Float>
        let losses_C: UnsafeMutablePointer<Double>

        struct Layout {
            private let slices: [ArenaLayout.Slice]
            private let losses: ArenaLayout.Slice

            init(_ arena: inout ArenaLayout, config: LlamaConfig, tokens N: Int, rank: Int) {
                let D = config.hiddenSize, chunk = min(N, OutputHead.chunkRows(vocabularySize: config.vocabularySize))
                slices = [N * D, N * D, N * D, N, chunk * config.vocabularySize, chunk * rank, chunk * rank].map { arena.reserve($0) }
                losses = arena.reserve(chunk, of: Double.self)
            }

            func bind(_ arena: Arena) -> Buffers {
                let p = slices.map { arena.pointer($0) as UnsafeMutablePointer<Float> }
                return Buffers(
                    gathered_MD: p[0], normed_MD: p[1], dnormed_MD: p[2], rstd_M: p[3], logits_CV: p[4], hidden_CR: p[5], dhidden_CR: p[6],
                    losses_C: arena.pointer(losses, as: Double.self))
            }
        }
    }

    /// Sum over the labelled positions of -log p(label), in f64 and in their order. With `dx_ND`, also the gradient of that sum with
    /// respect to the stage's output x (zero rows where there is no label) and the trained tensors' gradients.
    /// `tokenLosses_M` gets the sum's terms.
    func loss(
        _ step: StepContext, _ batch: BatchState, x_ND: UnsafePointer<Float>, dx_ND: UnsafeMutablePointer<Float>?,
        tokenLosses_M: UnsafeMutablePointer<Double>? = nil
    ) -> Double {
        let D = hiddenSize, V = vocabularySize, M = batch.targetCount
        gatherAndNormalize(step, x_ND, rows: batch.targetRows_M, count: M)
        var total = 0.0
        let chunk = Self.chunkRows(vocabularySize: V)
        for start in stride(from: 0, to: M, by: chunk) {
            let count = min(chunk, M - start), keys = batch.targetRowKeys_M + start
            let normed = buffers.normed_MD + start * D, labels = batch.targetLabels_M + start
            Linear.projectHidden(step, [(projection, buffers.hidden_CR)], x_NI: normed, rows: count, rowKeys: keys)
            projection.forward(step, y_NO: buffers.logits_CV, x_NI: normed, hidden_NR: buffers.hidden_CR, rows: count, rowKeys: keys)
            step.pool.runBlocks(count, of: 4) { rows, _ in
                loram_cross_entropy(
                    buffers.logits_CV + rows.lowerBound * V, buffers.losses_C + rows.lowerBound, labels + rows.lowerBound, rows.count, V,
                    dx_ND == nil ? 0 : 1)
            }
            for row in 0..<count { total += buffers.losses_C[row] }
            if let tokenLosses_M { (tokenLosses_M + start).initialize(from: buffers.losses_C, count: count) }
            guard dx_ND != nil else { continue }
            projection.backward(
                step, dx_NI: buffers.dnormed_MD + start * D, accumulate: false, dy_NO: buffers.logits_CV, x_NI: normed,
                hidden_NR: buffers.hidden_CR, hiddenGradient_NR: buffers.dhidden_CR, rows: count, rowKeys: keys)
        }
        guard let dx_ND else { return total }
        // The normalized rows are spent: their buffer takes the gradient before it is scattered.
        let dgathered = buffers.normed_MD
        step.pool.runBlocks(M * D, of: 1 << 16) { range, _ in (dgathered + range.lowerBound).update(repeating: 0, count: range.count) }
        RowKernels.rmsNormBackward(
            step.pool, dx_ND: dgathered, dgain_D: gainGradientOffset.map { step.gradients + $0 }, dy_ND: buffers.dnormed_MD,
            x_ND: buffers.gathered_MD, gain_D: gain_D, rstd_N: buffers.rstd_M, N: M, D: D)
        var target = 0
        for row in 0..<batch.tokenCount {
            if target < M, Int(batch.targetRows_M[target]) == row {
                (dx_ND + row * D).update(from: dgathered + target * D, count: D)
                target += 1
            } else {
                (dx_ND + row * D).update(repeating: 0, count: D)
            }
        }
        return total
    }

    /// The same head working in other buffers.
    func with(_ buffers: Buffers) -> OutputHead {
        OutputHead(
            hiddenSize: hiddenSize, vocabularySize: vocabularySize, epsilon: epsilon, gain_D: gain_D, gainGradientOffset: gainGradientOffset,
            projection: projection, buffers: buffers)
    }

    /// logits [M, V] of the given rows of x, without dropout.
    func logits(
        _ step: StepContext, x_ND: UnsafePointer<Float>, rows: UnsafePointer<Int32>, count M: Int, rowKeys: UnsafePointer<UInt64>,
        into logits: UnsafeMutablePointer<Float>
    ) {
        gatherAndNormalize(step, x_ND, rows: rows, count: M)
        let chunk = Self.chunkRows(vocabularySize: vocabularySize)
        for start in stride(from: 0, to: M, by: chunk) {
            let count = min(chunk, M - start), normed = buffers.normed_MD + start * hiddenSize
            Linear.projectHidden(step, [(projection, buffers.hidden_CR)], x_NI: normed, rows: count, rowKeys: rowKeys)
            projection.forward(step, y_NO: logits + start * vocabularySize, x_NI: normed, hidden_NR: buffers.hidden_CR, rows: count, rowKeys: rowKeys)
        }
    }

    private func gatherAndNormalize(_ step: StepContext, _ x_ND: UnsafePointer<Float>, rows: UnsafePointer<Int32>, count M: Int) {
        let D = hiddenSize
        step.pool.runBlocks(M, of: RowKernels.rowBlock) { range, _ in
            for row in range { (buffers.gathered_MD + row * D).update(from: x_ND + Int(rows[row]) * D, count: D) }
        }
        RowKernels.rmsNorm(
            step.pool, buffers.normed_MD, rstd_N: buffers.rstd_M, buffers.gathered_MD, gain_D: gain_D, N: M, D: D, epsilon: epsilon)
    }
}

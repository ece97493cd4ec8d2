internal import CLoRAMKernels

/// Low-rank matrices whose product is multiplied by a mask: y += dropout(x) (M o (s B A))^T. The masked product has no low rank, so it is made and
/// used in chunks of rows; no whole one exists.
///
/// Legend as in `Linear`; C rows (outputs) of a chunk.
extension Linear {
    /// Rows of a chunk: enough for an efficient product, 28 MiB at 28672 inputs.
    static let maskedChunk = 256

    /// What the masked products need beside the step's own scratch.
    struct MaskedScratch {
        /// [C, I]: a chunk of M o (s B A), or of its gradient.
        let chunk_CI: UnsafeMutablePointer<Float>
        /// [N, I]: dropout(x), and the gradient of it.
        let input_NI, inputGradient_NI: UnsafeMutablePointer<Float>

        struct Layout {
            private let slices: [ArenaLayout.Slice]

            init(_ arena: inout ArenaLayout, inputs: Int, tokens: Int) {
                slices = [Linear.maskedChunk * inputs, tokens * inputs, tokens * inputs].map { arena.reserve($0) }
            }

            func bind(_ arena: Arena) -> MaskedScratch {
                let p = slices.map { arena.pointer($0) as UnsafeMutablePointer<Float> }
                return MaskedScratch(chunk_CI: p[0], input_NI: p[1], inputGradient_NI: p[2])
            }
        }
    }

    /// Bytes of scratch for the chunks of the masked products of linear layers of these shapes.
    static func maskedWorkspaceByteCount(_ kernels: ComputeKernels, _ shapes: [(out: Int, in: Int)], tokens: Int, workers: Int) -> Int {
        var known: Set<[Int]> = []
        return shapes.reduce(0) { largest, shape in
            [min(maskedChunk, shape.out), shape.out % maskedChunk].reduce(largest) { largest, rows in
                guard rows > 0, known.insert([rows, shape.in]).inserted else { return largest }
                return max(
                    largest,
                    LinearProducts.workspaceByteCount(
                        kernels, rows: tokens, outputs: rows, inputs: shape.in, rank: 0, trainsWeight: true, workers: workers))
            }
        }
    }

    /// y [N, O] += the masked product; `rounds`: y is rounded to bf16 values then.
    func addMasked(
        _ step: StepContext, _ lowRank: LowRank, mask: UnsafePointer<UInt8>, y_NO: UnsafeMutablePointer<Float>, x_NI: UnsafePointer<Float>,
        rows N: Int, rowKeys: UnsafePointer<UInt64>, rounds: Bool
    ) {
        let O = weight_OI.rowCount, I = weight_OI.columnCount, scratch = step.masked!
        let x = dropped(step, lowRank, x_NI, rows: N, rowKeys)
        for start in stride(from: 0, to: O, by: Self.maskedChunk) {
            let count = min(Self.maskedChunk, O - start)
            formChunk(step, lowRank, mask, start, count)
            step.products.forward(
                y_NO + start, stride: O, x, WeightMatrix(f32: UnsafePointer(scratch.chunk_CI), rows: count, columns: I), rows: N,
                accumulate: true,
                rounds: rounds)
        }
    }

    /// dA and dB of the masked product, and where wanted dx [N, I] +=.
    func maskedBackward(
        _ step: StepContext, _ lowRank: LowRank, mask: UnsafePointer<UInt8>, dx_NI: UnsafeMutablePointer<Float>?, dy_NO: UnsafePointer<Float>,
        x_NI: UnsafePointer<Float>, rows N: Int, rowKeys: UnsafePointer<UInt64>
    ) {
        let O = weight_OI.rowCount, I = weight_OI.columnCount, R = lowRank.rank, scratch = step.masked!
        let x = dropped(step, lowRank, x_NI, rows: N, rowKeys), chunk = scratch.chunk_CI
        let dA_RI = step.gradients + lowRank.aGradientOffset, dB_OR = step.gradients + lowRank.bGradientOffset
        // With dropout its mask stands between the product's input gradient and dx.
        let target = step.dropout == nil ? dx_NI : scratch.inputGradient_NI
        for start in stride(from: 0, to: O, by: Self.maskedChunk) {
            let count = min(Self.maskedChunk, O - start), b_CR = lowRank.b_OR + start * R
            step.products.weightGradient(chunk, dy_NO + start, stride: O, x, rows: N, outputs: count, inputs: I)
            step.pool.runBlocks(count, of: 16) { rows, _ in
                let at = chunk + rows.lowerBound * I
                PruningMasks.multiply(at, mask + (start + rows.lowerBound) * MaskBits.stride(I), rows: rows.count, columns: I)
                MatrixProduct.tile(
                    rows.count, R, I, at, I, lowRank.a_RI, I, transposeB: true, dB_OR + (start + rows.lowerBound) * R, R, alpha: lowRank.scale,
                    accumulate: true)
            }
            step.pool.runBlocks(I, of: 256) { columns, _ in
                MatrixProduct.tile(
                    R, columns.count, count, b_CR, R, transposeA: true, chunk + columns.lowerBound, I, dA_RI + columns.lowerBound, I,
                    alpha: lowRank.scale, accumulate: true)
            }
            guard dx_NI != nil, let target else { continue }
            formChunk(step, lowRank, mask, start, count)
            step.products.inputGradient(
                target, dy_NO + start, stride: O, WeightMatrix(f32: UnsafePointer(chunk), rows: count, columns: I), rows: N,
                accumulate: step.dropout == nil || start > 0)
        }
        guard let dx_NI, let dropout = step.dropout else { return }
        step.pool.runBlocks(N, of: 128) { rows, _ in
            loram_dropout(
                dx_NI + rows.lowerBound * I, I, scratch.inputGradient_NI + rows.lowerBound * I, I, rows.count, 0, I, rowKeys + rows.lowerBound,
                lowRank.dropoutKey, dropout.threshold, dropout.scale, 1)
        }
    }

    /// Rows start ..< start + count of M o (s B A).
    private func formChunk(_ step: StepContext, _ lowRank: LowRank, _ mask: UnsafePointer<UInt8>, _ start: Int, _ count: Int) {
        let I = weight_OI.columnCount, R = lowRank.rank, chunk = step.masked!.chunk_CI
        step.pool.runBlocks(count, of: 16) { rows, _ in
            let at = chunk + rows.lowerBound * I
            MatrixProduct.tile(
                rows.count, I, R, lowRank.b_OR + (start + rows.lowerBound) * R, R, lowRank.a_RI, I, at, I, alpha: lowRank.scale, accumulate: false)
            PruningMasks.multiply(at, mask + (start + rows.lowerBound) * MaskBits.stride(I), rows: rows.count, columns: I)
        }
    }

    /// dropout(x) [N, I]: x itself where there is none.
    private func dropped(
        _ step: StepContext, _ lowRank: LowRank, _ x_NI: UnsafePointer<Float>, rows N: Int, _ rowKeys: UnsafePointer<UInt64>
    ) -> UnsafePointer<Float> {
        guard let dropout = step.dropout else { return x_NI }
        let I = weight_OI.columnCount, x = step.masked!.input_NI
        step.pool.runBlocks(N, of: 128) { rows, _ in
            loram_dropout(
                x + rows.lowerBound * I, I, x_NI + rows.lowerBound * I, I, rows.count, 0, I, rowKeys + rows.lowerBound, lowRank.dropoutKey,
                dropout.threshold, dropout.scale, 0)
        }
        return UnsafePointer(x)
    }
}

internal import CLoRAMKernels

/// Causal attention within segments, blocked with a running softmax: no T x T matrix exists (Dao et al., arXiv 2205.14135).
///
/// Legend: N tokens, H query heads, K key-value heads, d head size. q, o [N, H, d]; k, v [N, K, d]; lse [N, H] is the
/// log of each row's softmax denominator. Query head h reads key-value head h / (H / K).
struct Attention {
    let headCount: Int
    let keyValueHeadCount: Int
    let headDim: Int

    private var scale: Float { 1 / Float(headDim).squareRoot() }
    private static let block = BatchState.queryBlockSize

    /// A task is one query block of one head.
    func forward(
        _ step: StepContext, _ batch: BatchState, o_NHd: UnsafeMutablePointer<Float>, lse_NH: UnsafeMutablePointer<Float>,
        q_NHd: UnsafePointer<Float>, k_NKd: UnsafePointer<Float>, v_NKd: UnsafePointer<Float>
    ) {
        let d = headDim, queryWidth = headCount * d, keyWidth = keyValueHeadCount * d, group = headCount / keyValueHeadCount
        step.pool.run(batch.queryBlocks.count * headCount) { index, worker in
            let queries = batch.queryBlocks[index / headCount], head = index % headCount
            let scores = step.scratch(worker)
            let top = scores + Self.block * Self.block, denominator = top + Self.block
            for row in 0..<queries.count {
                top[row] = -.infinity
                denominator[row] = 0
            }
            let q = q_NHd + queries.start * queryWidth + head * d
            let o = o_NHd + queries.start * queryWidth + head * d
            let keyOffset = head / group * d
            var start = queries.segmentStart
            let end = queries.start + queries.count
            while start < end {
                let count = min(Self.block, end - start)
                let k = k_NKd + start * keyWidth + keyOffset, v = v_NKd + start * keyWidth + keyOffset
                MatrixProduct.tile(queries.count, count, d, q, queryWidth, k, keyWidth, transposeB: true, scores, Self.block, accumulate: false)
                if start == queries.segmentStart { for row in 0..<queries.count { (o + row * queryWidth).update(repeating: 0, count: d) } }
                loram_softmax_tile(scores, queries.count, count, Self.block, scale, queries.start - start, top, denominator, o, d, queryWidth)
                MatrixProduct.tile(queries.count, d, count, scores, Self.block, v, keyWidth, o, queryWidth, accumulate: true)
                start += count
            }
            loram_softmax_finish(o, lse_NH + queries.start * headCount + head, headCount, top, denominator, queries.count, d, queryWidth)
        }
    }

    /// A task is one key-value head of one segment with the query heads that read it, so that dk and dv add in a fixed order.
    /// `delta_NH` is scratch: the row sums of o * do.
    func backward(
        _ step: StepContext, _ batch: BatchState, dq_NHd: UnsafeMutablePointer<Float>, dk_NKd: UnsafeMutablePointer<Float>,
        dv_NKd: UnsafeMutablePointer<Float>, delta_NH: UnsafeMutablePointer<Float>, do_NHd: UnsafePointer<Float>, o_NHd: UnsafePointer<Float>,
        lse_NH: UnsafePointer<Float>, q_NHd: UnsafePointer<Float>, k_NKd: UnsafePointer<Float>, v_NKd: UnsafePointer<Float>
    ) {
        let d = headDim, queryWidth = headCount * d, keyWidth = keyValueHeadCount * d, group = headCount / keyValueHeadCount
        step.pool.runBlocks(batch.tokenCount, of: RowKernels.rowBlock) { rows, _ in
            let at = rows.lowerBound * queryWidth
            loram_attention_delta(delta_NH + rows.lowerBound * headCount, o_NHd + at, do_NHd + at, rows.count, headCount, d)
        }
        step.pool.run(batch.segments.count * keyValueHeadCount) { index, worker in
            let segment = batch.segments[index / keyValueHeadCount], keyHead = index % keyValueHeadCount
            let probabilities = step.scratch(worker), gradient = probabilities + Self.block * Self.block
            let end = segment.start + segment.count
            for head in keyHead * group..<(keyHead + 1) * group {
                for keyStart in stride(from: segment.start, to: end, by: Self.block) {
                    let keyCount = min(Self.block, end - keyStart)
                    let at = keyStart * keyWidth + keyHead * d
                    let k = k_NKd + at, v = v_NKd + at, dk = dk_NKd + at, dv = dv_NKd + at
                    for queryStart in stride(from: keyStart, to: end, by: Self.block) {
                        let queryCount = min(Self.block, end - queryStart)
                        let row = queryStart * queryWidth + head * d
                        let q = q_NHd + row, dO = do_NHd + row, dq = dq_NHd + row
                        let statistics = queryStart * headCount + head
                        let isFirst = head == keyHead * group && queryStart == keyStart
                        MatrixProduct.tile(queryCount, keyCount, d, q, queryWidth, k, keyWidth, transposeB: true, probabilities, Self.block, accumulate: false)
                        loram_probability_tile(
                            probabilities, queryCount, keyCount, Self.block, scale, queryStart - keyStart, lse_NH + statistics, headCount)
                        MatrixProduct.tile(
                            keyCount, d, queryCount, probabilities, Self.block, transposeA: true, dO, queryWidth, dv, keyWidth, accumulate: !isFirst)
                        MatrixProduct.tile(queryCount, keyCount, d, dO, queryWidth, v, keyWidth, transposeB: true, gradient, Self.block, accumulate: false)
                        loram_score_gradient_tile(gradient, probabilities, queryCount, keyCount, Self.block, scale, delta_NH + statistics, headCount)
                        MatrixProduct.tile(
                            keyCount, d, queryCount, gradient, Self.block, transposeA: true, q, queryWidth, dk, keyWidth, accumulate: !isFirst)
                        MatrixProduct.tile(
                            queryCount, d, keyCount, gradient, Self.block, k, keyWidth, dq, queryWidth, accumulate: keyStart != segment.start)
                    }
                }
            }
        }
    }
}

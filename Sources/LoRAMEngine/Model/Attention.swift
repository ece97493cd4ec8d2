internal import CLoRAMKernels

/// Causal attention within segments, blocked with a running softmax: no T x T matrix exists.
///
/// Legend: N tokens, H query heads, K key-value heads, d head size. q, o [N, H, d]; k, v [N, K, d]; lse [N, H] is the
/// log of each row's softmax denominator. Query head h reads key-value head h / (H / K). The kernels' steps stand in loram_attention.h.
struct Attention {
    let headCount: Int
    let keyValueHeadCount: Int
    let headDim: Int

    private var groupSize: Int { headCount / keyValueHeadCount }
    private var queryWidth: Int { headCount * headDim }
    private var keyWidth: Int { keyValueHeadCount * headDim }

    /// Floats of scratch that a worker needs.
    static func scratchCount(_ kernels: ComputeKernels, headDim: Int) -> Int {
        (loram_attention_workspace(kernels.set, kernels.compute, headDim) + 3) / 4
    }

    func kernel(_ step: StepContext) -> loram_attention {
        loram_attention(
            kernels: step.products.kernels.set, compute: step.products.kernels.compute, head_dim: headDim, scale: 1 / Float(headDim).squareRoot(),
            query_stride: queryWidth, key_stride: keyWidth, statistic_stride: headCount)
    }

    /// A task is one query block of one head.
    func forward(
        _ step: StepContext, _ batch: BatchState, o_NHd: UnsafeMutablePointer<Float>, lse_NH: UnsafeMutablePointer<Float>,
        q_NHd: UnsafePointer<Float>, k_NKd: UnsafePointer<Float>, v_NKd: UnsafePointer<Float>
    ) {
        let kernel = kernel(step)
        step.pool.run(batch.queryBlocks.count * headCount) { index, worker in
            let queries = batch.queryBlocks[index / headCount], head = index % headCount
            let row = queries.start * queryWidth + head * headDim
            let keys = queries.segmentStart * keyWidth + head / groupSize * headDim
            withUnsafePointer(to: kernel) {
                loram_attention_forward(
                    $0, step.scratch(worker), o_NHd + row, lse_NH + queries.start * headCount + head, q_NHd + row, k_NKd + keys, v_NKd + keys,
                    queries.start - queries.segmentStart, queries.count)
            }
        }
    }

    /// A task is one key-value head of one segment with the query heads that read it, so that dk and dv add in a fixed order.
    /// `delta_NH` is scratch: the row sums of o * do.
    func backward(
        _ step: StepContext, _ batch: BatchState, dq_NHd: UnsafeMutablePointer<Float>, dk_NKd: UnsafeMutablePointer<Float>,
        dv_NKd: UnsafeMutablePointer<Float>, delta_NH: UnsafeMutablePointer<Float>, do_NHd: UnsafePointer<Float>, o_NHd: UnsafePointer<Float>,
        lse_NH: UnsafePointer<Float>, q_NHd: UnsafePointer<Float>, k_NKd: UnsafePointer<Float>, v_NKd: UnsafePointer<Float>
    ) {
        step.pool.runBlocks(batch.tokenCount, of: RowKernels.rowBlock) { rows, _ in
            let at = rows.lowerBound * queryWidth
            loram_attention_delta(delta_NH + rows.lowerBound * headCount, o_NHd + at, do_NHd + at, rows.count, headCount, headDim)
        }
        let kernel = kernel(step)
        step.pool.run(batch.segments.count * keyValueHeadCount) { index, worker in
            let segment = batch.segments[index / keyValueHeadCount], keyHead = index % keyValueHeadCount
            let row = segment.start * queryWidth + keyHead * groupSize * headDim, key = segment.start * keyWidth + keyHead * headDim
            let statistics = segment.start * headCount + keyHead * groupSize
            withUnsafePointer(to: kernel) {
                loram_attention_backward(
                    $0, step.scratch(worker), dq_NHd + row, dk_NKd + key, dv_NKd + key, do_NHd + row, delta_NH + statistics, lse_NH + statistics,
                    q_NHd + row, k_NKd + key, v_NKd + key, segment.count, groupSize)
            }
        }
    }
}

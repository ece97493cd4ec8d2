internal import CLoRAMKernels

/// A layer's attention over the cache: of a stretch of a prompt, or of one new token of each of several sequences. Either keeps the new keys
/// and values first. What a sequence gets depends on the sequence alone.
///
/// Legend as in `Attention`; P positions, G query heads that read one key-value head.
struct CachedAttention {
    let attention: Attention
    let cache: KeyValueCache
    /// Within the stage.
    let layer: Int

    private var headDim: Int { attention.headDim }
    private var groupSize: Int { attention.headCount / attention.keyValueHeadCount }
    private var queryWidth: Int { attention.headCount * headDim }
    private var keyWidth: Int { attention.keyValueHeadCount * headDim }

    /// Floats of scratch that a worker needs: the kernel's own, then keys and values of a head made f32, or the scores of a group of heads.
    static func scratchCount(_ kernels: ComputeKernels, headDim: Int, positions: Int, geometries: [LayerGeometry]) -> Int {
        let group = geometries.map { $0.headCount / $0.keyValueHeadCount }.max() ?? 1
        return kernelScratchCount(kernels, headDim) + max(2 * positions * headDim, group * rounded(positions))
    }

    private static func kernelScratchCount(_ kernels: ComputeKernels, _ headDim: Int) -> Int {
        rounded(Attention.scratchCount(kernels, headDim: headDim))
    }

    private static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }

    /// Tokens first ..< first + count of the sequence in `slot`, at most `Attention`'s block; those before are in the cache.
    func forward(
        _ step: StepContext, slot: Int, first: Int, count: Int, o_NHd: UnsafeMutablePointer<Float>, lse_NH: UnsafeMutablePointer<Float>,
        q_NHd: UnsafePointer<Float>, k_NKd: UnsafePointer<Float>, v_NKd: UnsafePointer<Float>
    ) {
        let d = headDim, kernelScratch = Self.kernelScratchCount(step.products.kernels, d), tokens = first + count
        step.pool.run(attention.keyValueHeadCount) { head, _ in
            cache.store(
                head: head, layer: layer, slot: slot, position: first, k: k_NKd + head * d, v: v_NKd + head * d, stride: keyWidth, count: count)
        }
        var kernel = attention.kernel(step)
        kernel.key_stride = d
        step.pool.run(attention.headCount) { head, worker in
            let kept = cache.head(head / groupSize, layer: layer, slot: slot, count: tokens)
            var keys = kept.keys.assumingMemoryBound(to: Float.self), values = kept.values.assumingMemoryBound(to: Float.self)
            if cache.isBF16 {
                let wide = step.scratch(worker) + kernelScratch
                loram_widen_bf16(wide, kept.keys.assumingMemoryBound(to: UInt16.self), tokens * d)
                loram_widen_bf16(wide + tokens * d, kept.values.assumingMemoryBound(to: UInt16.self), tokens * d)
                (keys, values) = (UnsafePointer(wide), UnsafePointer(wide + tokens * d))
            }
            withUnsafePointer(to: kernel) {
                loram_attention_forward(
                    $0, step.scratch(worker), o_NHd + head * d, lse_NH + head, q_NHd + head * d, keys, values, first, count)
            }
        }
    }

    /// Row i is the token at `positions[i]` of the sequence in `slots[i]`.
    func forward(
        _ step: StepContext, rows: Int, slots: UnsafePointer<Int32>, positions: UnsafePointer<Int32>, o_NHd: UnsafeMutablePointer<Float>,
        q_NHd: UnsafePointer<Float>, k_NKd: UnsafePointer<Float>, v_NKd: UnsafePointer<Float>
    ) {
        let d = headDim, heads = attention.keyValueHeadCount, scale = 1 / Float(d).squareRoot()
        step.pool.run(rows * heads) { task, worker in
            let row = task / heads, head = task % heads, slot = Int(slots[row]), position = Int(positions[row])
            let at = row * keyWidth + head * d, query = row * queryWidth + head * groupSize * d
            cache.store(head: head, layer: layer, slot: slot, position: position, k: k_NKd + at, v: v_NKd + at, stride: keyWidth, count: 1)
            withUnsafePointer(to: cache.head(head, layer: layer, slot: slot, count: position + 1)) {
                loram_attention_cached($0, o_NHd + query, q_NHd + query, groupSize, scale, step.scratch(worker))
            }
        }
    }
}

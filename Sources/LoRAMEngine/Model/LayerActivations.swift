/// What one layer's forward leaves for its backward, for one micro-batch.
///
/// Legend: N tokens, D hidden size, H, K query and key-value heads, d head size, F MLP width, R rank.
struct LayerActivations {
    let rstd1_N, normed1_ND, q_NHd, k_NKd, v_NKd, attended_NHd, lse_NH: UnsafeMutablePointer<Float>
    let middle_ND, rstd2_N, normed2_ND, gate_NF, up_NF, product_NF: UnsafeMutablePointer<Float>
    /// LoRA's x A^T at the seven sites, in the order of `LinearSite.inLayer`.
    let hidden_NR: [UnsafeMutablePointer<Float>]

    /// Slices of one set of activations.
    struct Layout {
        private let slices: [ArenaLayout.Slice]
        private let hidden: [ArenaLayout.Slice]

        init(_ arena: inout ArenaLayout, _ geometry: LayerGeometry, config: LlamaConfig, tokens N: Int, rank: Int) {
            let D = config.hiddenSize, query = geometry.headCount * config.headDim, key = geometry.keyValueHeadCount * config.headDim
            let F = geometry.intermediateSize
            slices = [N, N * D, N * query, N * key, N * key, N * query, N * geometry.headCount, N * D, N, N * D, N * F, N * F, N * F]
                .map { arena.reserve($0) }
            hidden = LinearSite.inLayer.map { _ in arena.reserve(N * rank) }
        }

        func bind(_ arena: Arena) -> LayerActivations {
            let p = slices.map { arena.pointer($0) as UnsafeMutablePointer<Float> }
            return LayerActivations(
                rstd1_N: p[0], normed1_ND: p[1], q_NHd: p[2], k_NKd: p[3], v_NKd: p[4], attended_NHd: p[5], lse_NH: p[6], middle_ND: p[7],
                rstd2_N: p[8], normed2_ND: p[9], gate_NF: p[10], up_NF: p[11], product_NF: p[12], hidden_NR: hidden.map { arena.pointer($0) })
        }
    }
}

/// Buffers that every layer's backward uses in turn.
struct BackwardScratch {
    let dnormed_ND, dq_NHd, dk_NKd, dv_NKd, dattended_NHd, delta_NH, dproduct_NF, dhidden_NR: UnsafeMutablePointer<Float>

    struct Layout {
        private let slices: [ArenaLayout.Slice]

        /// Large enough for the widest of `geometries`.
        init(_ arena: inout ArenaLayout, _ geometries: [LayerGeometry], config: LlamaConfig, tokens N: Int, rank: Int) {
            let heads = geometries.map(\.headCount).max() ?? 0, keys = geometries.map(\.keyValueHeadCount).max() ?? 0
            let F = geometries.map(\.intermediateSize).max() ?? 0, d = config.headDim
            slices = [N * config.hiddenSize, N * heads * d, N * keys * d, N * keys * d, N * heads * d, N * heads, N * F, N * rank]
                .map { arena.reserve($0) }
        }

        func bind(_ arena: Arena) -> BackwardScratch {
            let p = slices.map { arena.pointer($0) as UnsafeMutablePointer<Float> }
            return BackwardScratch(
                dnormed_ND: p[0], dq_NHd: p[1], dk_NKd: p[2], dv_NKd: p[3], dattended_NHd: p[4], delta_NH: p[5], dproduct_NF: p[6], dhidden_NR: p[7])
        }
    }
}

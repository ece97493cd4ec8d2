/// What one layer's forward leaves for its backward, for one micro-batch.
///
/// Legend: N tokens, D hidden size, H, K query and key-value heads, d head size, F MLP width, R rank.
struct LayerActivations {
    // What matrix products and attention gave.
    let q_NHd, k_NKd, v_NKd, attended_NHd, lse_NH, middle_ND, gate_NF, up_NF: UnsafeMutablePointer<Float>
    /// LoRA's x A^T at the seven sites, in the order of `LinearSite.inLayer`.
    let hidden_NR: [UnsafeMutablePointer<Float>]
    // What elementwise operations give again.
    let rstd1_N, normed1_ND, rstd2_N, normed2_ND, product_NF: UnsafeMutablePointer<Float>

    /// gate and up in bf16, which the MLP's elementwise steps then write and read themselves; nil where they stay in f32.
    var keptMLP: KeptMLP?

    /// The results of products; `Derived` follows from them and the layer's input.
    struct Products {
        /// q, k, v, attended, middle, gate, up: what may be kept in bf16.
        let large: [ArenaLayout.Slice]
        let lse: ArenaLayout.Slice
        let hidden: [ArenaLayout.Slice]

        init(_ arena: inout ArenaLayout, _ geometry: LayerGeometry, config: LlamaConfig, tokens N: Int, rank: Int) {
            large = Self.widths(geometry, config).map { arena.reserve(N * $0) }
            lse = arena.reserve(N * geometry.headCount)
            hidden = LinearSite.inLayer.map { _ in arena.reserve(N * rank) }
        }

        static func widths(_ geometry: LayerGeometry, _ config: LlamaConfig) -> [Int] {
            let query = geometry.headCount * config.headDim, key = geometry.keyValueHeadCount * config.headDim
            return [query, key, key, query, config.hiddenSize, geometry.intermediateSize, geometry.intermediateSize]
        }
    }

    struct Derived {
        let slices: [ArenaLayout.Slice]

        init(_ arena: inout ArenaLayout, _ geometry: LayerGeometry, config: LlamaConfig, tokens N: Int) {
            slices = [N, N * config.hiddenSize, N, N * config.hiddenSize, N * geometry.intermediateSize].map { arena.reserve($0) }
        }
    }

    init(_ arena: Arena, _ products: Products, _ derived: Derived) {
        func pointers(_ slices: [ArenaLayout.Slice]) -> [UnsafeMutablePointer<Float>] { slices.map { arena.pointer($0) } }
        let p = pointers(products.large), e = pointers(derived.slices)
        (q_NHd, k_NKd, v_NKd, attended_NHd, middle_ND, gate_NF, up_NF) = (p[0], p[1], p[2], p[3], p[4], p[5], p[6])
        lse_NH = arena.pointer(products.lse)
        hidden_NR = pointers(products.hidden)
        (rstd1_N, normed1_ND, rstd2_N, normed2_ND, product_NF) = (e[0], e[1], e[2], e[3], e[4])
    }
}

/// A layer's gate and up in bf16, [N, F].
struct KeptMLP {
    let gate_NF, up_NF: UnsafeMutablePointer<UInt16>
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

extension LayerGeometry {
    /// Sizes that are enough for each of several layers.
    static func widest(_ geometries: [LayerGeometry]) -> LayerGeometry {
        LayerGeometry(
            headCount: geometries.map(\.headCount).max() ?? 1, keyValueHeadCount: geometries.map(\.keyValueHeadCount).max() ?? 1,
            intermediateSize: geometries.map(\.intermediateSize).max() ?? 1)
    }
}

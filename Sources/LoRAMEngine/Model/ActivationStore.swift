internal import CLoRAMKernels

/// What a stage keeps of its layers between forward and backward, by `Recomputation` and compute type.
///
/// Under f32 the layers write into what is kept. Under bf16 they work in one set of f32 buffers, and what is kept is copied to bf16 behind
/// each layer and back before its backward. The layers round those results themselves, so that nothing is lost on the way and whoever is
/// given them, kept or computed again, is given the same. Only the residual stream (a layer's input and its middle) is rounded by keeping
/// it. Log-sum-exps and LoRA's hidden values, which are small, stay f32.
struct ActivationStore {
    /// Who works in a set of buffers between a layer's forward and its backward.
    fileprivate enum Place {
        /// One set for all layers: they are computed again.
        case working
        /// Of each slot and layer.
        case slots
        /// Of each layer, for the one micro-batch that is recomputed ahead.
        case ahead
    }

    let recomputation: Recomputation
    private let place: Place
    private let keepsBF16: Bool
    private let hiddenSize: Int
    private let geometries: [LayerGeometry]
    private let config: LlamaConfig

    /// [slot][layer]: each layer's input, in f32 or bf16; the entry behind the last, f32, is the stage's output.
    private let inputs: [[UnsafeMutablePointer<Float>]]
    private let narrowInputs: [[UnsafeMutablePointer<UInt16>]]
    private let outputs: [UnsafeMutablePointer<Float>]
    /// Where a layer's input stands in f32 while the layer works, and the next layer's.
    private let streams: [UnsafeMutablePointer<Float>]
    /// [slot or 0][layer or 0].
    private let sets: [[LayerActivations]]
    /// Under bf16 [slot or 0][layer]: the large products.
    private let narrow: [[[UnsafeMutablePointer<UInt16>]]]

    /// Slices of a store; made before there is memory.
    struct Layout {
        fileprivate var inputs: [[ArenaLayout.Slice]] = []
        fileprivate var narrowInputs: [[ArenaLayout.Slice]] = []
        fileprivate var outputs: [ArenaLayout.Slice] = []
        fileprivate var streams: [ArenaLayout.Slice] = []
        fileprivate var sets: [[(LayerActivations.Products, LayerActivations.Derived)]] = []
        fileprivate var narrow: [[[ArenaLayout.Slice]]] = []
        fileprivate let place: Place
        fileprivate let keepsBF16: Bool

        /// `forwardOnly`: evaluation, which keeps nothing.
        init(_ arena: inout ArenaLayout, _ geometries: [LayerGeometry], config: LlamaConfig, capacity: StageCapacity, compute: ComputeType, rank: Int, forwardOnly: Bool) {
            let N = capacity.tokens, stream = N * config.hiddenSize
            place = forwardOnly ? .working : capacity.recomputation != .full ? .slots : capacity.recomputesAhead ? .ahead : .working
            keepsBF16 = compute == .bf16 && !forwardOnly
            if keepsBF16 || forwardOnly {
                streams = (0..<2).map { _ in arena.reserve(stream) }
                outputs = (0..<capacity.slots).map { _ in arena.reserve(stream) }
            } else {
                inputs = (0..<capacity.slots).map { _ in geometries.map { _ in arena.reserve(stream) } }
                outputs = (0..<capacity.slots).map { _ in arena.reserve(stream) }
            }
            if keepsBF16 { narrowInputs = (0..<capacity.slots).map { _ in geometries.map { _ in arena.reserve(stream, of: UInt16.self) } } }

            let count = place == .slots ? capacity.slots : 1
            if place == .working {
                let widest = LayerGeometry.widest(geometries)
                sets = [[(.init(&arena, widest, config: config, tokens: N, rank: rank), .init(&arena, widest, config: config, tokens: N))]]
            } else if keepsBF16 {
                // Small values of their own for each layer, large ones and those that are derived in the one working set.
                let widest = LayerGeometry.widest(geometries)
                let working = LayerActivations.Products(&arena, widest, config: config, tokens: N, rank: 0)
                let derived = LayerActivations.Derived(&arena, widest, config: config, tokens: N)
                sets = (0..<count).map { _ in
                    geometries.map { (working.keepingSmall(&arena, $0, tokens: N, rank: rank), derived) }
                }
                narrow = (0..<count).map { _ in
                    geometries.map { geometry in
                        LayerActivations.Products.widths(geometry, config).map { arena.reserve(N * $0, of: UInt16.self) }
                    }
                }
            } else {
                let shared = capacity.recomputation == .none ? nil : LayerActivations.Derived(&arena, LayerGeometry.widest(geometries), config: config, tokens: N)
                sets = (0..<count).map { _ in
                    geometries.map { geometry in
                        (.init(&arena, geometry, config: config, tokens: N, rank: rank), shared ?? .init(&arena, geometry, config: config, tokens: N))
                    }
                }
            }
        }
    }

    init(_ layout: Layout, _ arena: Arena, _ geometries: [LayerGeometry], config: LlamaConfig, recomputation: Recomputation) {
        self.recomputation = recomputation
        self.geometries = geometries
        self.config = config
        (place, keepsBF16) = (layout.place, layout.keepsBF16)
        hiddenSize = config.hiddenSize
        inputs = layout.inputs.map { $0.map { arena.pointer($0) } }
        narrowInputs = layout.narrowInputs.map { $0.map { arena.pointer($0, as: UInt16.self) } }
        outputs = layout.outputs.map { arena.pointer($0) }
        streams = layout.streams.map { arena.pointer($0) }
        let narrow = layout.narrow.map { $0.map { $0.map { arena.pointer($0, as: UInt16.self) } } }
        var sets = layout.sets.map { $0.map { LayerActivations(arena, $0.0, $0.1) } }
        for (slot, layers) in narrow.enumerated() {
            for (layer, kept) in layers.enumerated() { sets[slot][layer].keptMLP = KeptMLP(gate_NF: kept[5], up_NF: kept[6]) }
        }
        (self.narrow, self.sets) = (narrow, sets)
    }

    // MARK: - The stream

    /// Where the input of a layer is written during a forward pass; the index behind the last is the stage's output.
    func stream(slot: Int, _ index: Int) -> UnsafeMutablePointer<Float> {
        if index == geometries.count { return outputs[slot] }
        return streams.isEmpty ? inputs[slot][index] : streams[index % 2]
    }

    func output(slot: Int) -> UnsafeMutablePointer<Float> { outputs[slot] }

    /// Keeps a layer's input, which stands in `stream`.
    func keepInput(_ pool: ThreadPool, slot: Int, layer: Int, tokens: Int) {
        guard keepsBF16 else { return }
        Self.narrow(pool, narrowInputs[slot][layer], streams[layer % 2], count: tokens * hiddenSize)
    }

    /// A layer's kept input in f32; valid until the next call.
    func input(_ pool: ThreadPool, slot: Int, layer: Int, tokens: Int) -> UnsafeMutablePointer<Float> {
        guard keepsBF16 else { return stream(slot: slot, layer) }
        Self.widen(pool, streams[layer % 2], narrowInputs[slot][layer], count: tokens * hiddenSize)
        return streams[layer % 2]
    }

    // MARK: - A layer's activations

    /// The buffers in which a layer works.
    func activations(slot: Int, layer: Int) -> LayerActivations {
        switch place {
        case .working: sets[0][0]
        case .slots: sets[slot][layer]
        case .ahead: sets[0][layer]
        }
    }

    /// Keeps what a layer's forward left in its buffers, where they are not kept themselves.
    func keep(_ pool: ThreadPool, slot: Int, layer: Int, tokens: Int) {
        forEachKept(slot: slot, layer: layer) { kept, working, width in Self.narrow(pool, kept, working, count: tokens * width) }
    }

    /// Puts the kept results of products back; what is derived from them is missing where `derivesAgain`.
    func restore(_ pool: ThreadPool, slot: Int, layer: Int, tokens: Int) {
        forEachKept(slot: slot, layer: layer) { kept, working, width in Self.widen(pool, working, kept, count: tokens * width) }
    }

    /// Whether norms and the MLP's product are to be computed again after `restore`.
    var derivesAgain: Bool { place != .working && (keepsBF16 || recomputation != .none) }

    /// All but gate and up, which are written and read where they are needed.
    private func forEachKept(
        slot: Int, layer: Int, _ body: (UnsafeMutablePointer<UInt16>, UnsafeMutablePointer<Float>, _ width: Int) -> Void
    ) {
        guard keepsBF16, place != .working else { return }
        let kept = narrow[place == .slots ? slot : 0][layer], set = activations(slot: slot, layer: layer)
        let working = [set.q_NHd, set.k_NKd, set.v_NKd, set.attended_NHd, set.middle_ND]
        for (index, (buffer, width)) in zip(working, LayerActivations.Products.widths(geometries[layer], config)).enumerated() {
            body(kept[index], buffer, width)
        }
    }

    private static let block = 1 << 16

    private static func narrow(_ pool: ThreadPool, _ y: UnsafeMutablePointer<UInt16>, _ x: UnsafePointer<Float>, count: Int) {
        pool.runBlocks(count, of: block) { range, _ in loram_narrow_bf16(y + range.lowerBound, x + range.lowerBound, range.count) }
    }

    private static func widen(_ pool: ThreadPool, _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<UInt16>, count: Int) {
        pool.runBlocks(count, of: block) { range, _ in loram_widen_bf16(y + range.lowerBound, x + range.lowerBound, range.count) }
    }
}

extension LayerActivations.Products {
    /// The same large buffers with small ones of a layer's own.
    fileprivate func keepingSmall(_ arena: inout ArenaLayout, _ geometry: LayerGeometry, tokens N: Int, rank: Int) -> Self {
        Self(large: large, lse: arena.reserve(N * geometry.headCount), hidden: LinearSite.inLayer.map { _ in arena.reserve(N * rank) })
    }

    fileprivate init(large: [ArenaLayout.Slice], lse: ArenaLayout.Slice, hidden: [ArenaLayout.Slice]) {
        self.large = large
        self.lse = lse
        self.hidden = hidden
    }
}

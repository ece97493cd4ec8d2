internal import CLoRAMKernels

/// How much a stage can generate at once.
public struct GenerationCapacity: Sendable, Equatable {
    /// Whose keys and values are kept.
    public var sequences: Int
    /// Tokens of the longest, prompt and completion.
    public var positions: Int

    public init(sequences: Int, positions: Int) {
        self.sequences = sequences
        self.positions = positions
    }
}

/// Keys and values of the tokens that have gone through a stage, of several sequences, each in a slot: f32, or bf16 where the compute type
/// makes bf16 values of them. Every layer has as many heads as it has.
///
/// Legend: K key-value heads of a layer, P positions, d head size. A slot of a layer is [K, P, d], keys apart from values: one head's tokens
/// lie one behind the other.
struct KeyValueCache {
    let isBF16: Bool
    private let headDim: Int
    private let capacity: GenerationCapacity
    private let layers: [Layer]

    private struct Layer {
        let headCount: Int
        let keys, values: UnsafeMutablePointer<UInt8>
    }

    struct Layout {
        fileprivate let slices: [(keys: ArenaLayout.Slice, values: ArenaLayout.Slice)]

        init(_ arena: inout ArenaLayout, _ geometries: [LayerGeometry], config: LlamaConfig, capacity: GenerationCapacity, compute: ComputeType) {
            slices = geometries.map { geometry in
                let count = capacity.sequences * geometry.keyValueHeadCount * capacity.positions * config.headDim * KeyValueCache.elementByteCount(compute)
                return (arena.reserve(count, of: UInt8.self), arena.reserve(count, of: UInt8.self))
            }
        }
    }

    private static func elementByteCount(_ compute: ComputeType) -> Int { compute == .bf16 ? 2 : 4 }

    init(_ layout: Layout, _ arena: Arena, _ geometries: [LayerGeometry], headDim: Int, capacity: GenerationCapacity, compute: ComputeType) {
        isBF16 = compute == .bf16
        self.headDim = headDim
        self.capacity = capacity
        layers = zip(geometries, layout.slices).map { geometry, slices in
            Layer(
                headCount: geometry.keyValueHeadCount, keys: arena.pointer(slices.keys, as: UInt8.self), values: arena.pointer(slices.values, as: UInt8.self))
        }
    }

    private var rowByteCount: Int { headDim * (isBF16 ? 2 : 4) }

    private func offset(_ layer: Int, slot: Int, head: Int, position: Int) -> Int {
        ((slot * layers[layer].headCount + head) * capacity.positions + position) * rowByteCount
    }

    /// One head's keys and values of a sequence's first `count` tokens, as the kernel takes them. `layer` counts within the stage.
    func head(_ head: Int, layer: Int, slot: Int, count: Int) -> loram_cached_head {
        let at = offset(layer, slot: slot, head: head, position: 0)
        return loram_cached_head(
            keys: layers[layer].keys + at, values: layers[layer].values + at, is_bf16: isBF16 ? 1 : 0, tokens: count, head_dim: headDim)
    }

    /// Keeps one head of `count` tokens from `position` on. The rows of k and v, which point at the head in the first token, are `stride` apart;
    /// in a bf16 cache they hold bf16 values.
    func store(
        head: Int, layer: Int, slot: Int, position: Int, k: UnsafePointer<Float>, v: UnsafePointer<Float>, stride: Int, count: Int
    ) {
        let at = offset(layer, slot: slot, head: head, position: position)
        for (target, source) in [(layers[layer].keys + at, k), (layers[layer].values + at, v)] {
            for row in 0..<count {
                let to = UnsafeMutableRawPointer(target + row * rowByteCount), from = source + row * stride
                if isBF16 {
                    loram_narrow_bf16(to.assumingMemoryBound(to: UInt16.self), from, headDim)
                } else {
                    to.copyMemory(from: from, byteCount: rowByteCount)
                }
            }
        }
    }

    /// Gives a slot the first `count` tokens of another.
    func copy(_ pool: ThreadPool, from source: Int, to target: Int, count: Int) {
        for (index, layer) in layers.enumerated() {
            pool.run(2 * layer.headCount) { task, _ in
                let base = task % 2 == 0 ? layer.keys : layer.values, head = task / 2
                (base + offset(index, slot: target, head: head, position: 0)).update(
                    from: base + offset(index, slot: source, head: head, position: 0), count: count * rowByteCount)
            }
        }
    }
}

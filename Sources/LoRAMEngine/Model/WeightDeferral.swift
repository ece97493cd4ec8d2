internal import CLoRAMKernels

/// What a backward pass leaves for products of weight gradients that are made later: inputs and output gradients of a micro-batch's linear
/// layers, in the type in which the products read them, so that late products have the bits of early ones.
///
/// Legend: N tokens, O outputs, I inputs.
final class WeightDeferral {
    /// One product: dW[O, I] += dy[N, O]^T x[N, I].
    private struct Product {
        let gradientOffset, outputs, inputs, layer: Int
        let dy, x: Int
    }

    private let values: UnsafeMutableRawPointer
    private let elementByteCount: Int
    private let capacity: Int
    /// Under bf16: where both operands of a product stand in f32.
    private let operands: (dy: UnsafeMutablePointer<Float>, x: UnsafeMutablePointer<Float>)?
    private var products: [Product] = []
    private var used = 0
    private var rowCount = 0
    private var lastInput: (pointer: UnsafePointer<Float>, at: Int)?

    /// Slices of the memory of all weight slots; `operands` serve them in turn.
    struct Layout {
        let slots: [ArenaLayout.Slice]
        let operands: (ArenaLayout.Slice, ArenaLayout.Slice)?
        let elementByteCount: Int
        let productCount: Int

        init(_ arena: inout ArenaLayout, _ geometries: [LayerGeometry], config: LlamaConfig, capacity: StageCapacity, compute: ComputeType) {
            let N = capacity.tokens, byteCount = compute == .bf16 ? 2 : 4
            // Per token of a layer: down has [D, F], gate and up [F, F, D], o [D, Hd], q, k and v [Hd, Kd, Kd, D].
            let width = geometries.reduce(0) {
                $0 + 4 * config.hiddenSize + 3 * $1.intermediateSize + 2 * ($1.headCount + $1.keyValueHeadCount) * config.headDim
            }
            slots = (0..<capacity.weightSlots).map { _ in arena.reserve(N * width * byteCount, of: UInt8.self) }
            let widest = geometries.reduce(config.hiddenSize) { max($0, $1.intermediateSize, $1.headCount * config.headDim) }
            operands = compute == .bf16 && capacity.weightSlots > 0 ? (arena.reserve(N * widest), arena.reserve(N * widest)) : nil
            elementByteCount = byteCount
            productCount = LinearSite.inLayer.count * geometries.count
        }

        func bind(_ arena: Arena) -> [WeightDeferral] { slots.map { WeightDeferral(self, $0, arena) } }
    }

    private init(_ layout: Layout, _ slot: ArenaLayout.Slice, _ arena: Arena) {
        values = UnsafeMutableRawPointer(arena.pointer(slot, as: UInt8.self))
        elementByteCount = layout.elementByteCount
        capacity = slot.byteCount / layout.elementByteCount
        operands = layout.operands.map { (arena.pointer($0.0), arena.pointer($0.1)) }
        products.reserveCapacity(layout.productCount)
    }

    /// A new micro-batch of so many tokens.
    func begin(rows: Int) {
        products.removeAll(keepingCapacity: true)
        used = 0
        rowCount = rows
        lastInput = nil
    }

    /// Keeps the operands of a product. Neighbours that share x share its copy.
    func keep(
        _ pool: ThreadPool, gradientOffset: Int, layer: Int, dy_NO: UnsafePointer<Float>, x_NI: UnsafePointer<Float>, outputs: Int, inputs: Int
    ) {
        let dy = append(pool, dy_NO, count: rowCount * outputs)
        let x: Int
        if let lastInput, lastInput.pointer == x_NI { x = lastInput.at } else { x = append(pool, x_NI, count: rowCount * inputs) }
        lastInput = (x_NI, x)
        products.append(Product(gradientOffset: gradientOffset, outputs: outputs, inputs: inputs, layer: layer, dy: dy, x: x))
    }

    private func append(_ pool: ThreadPool, _ source: UnsafePointer<Float>, count: Int) -> Int {
        let start = used
        used += count
        precondition(used <= capacity, "more is deferred than was planned")
        pool.runBlocks(count, of: 1 << 16) { range, _ in
            let target = self.values + (start + range.lowerBound) * self.elementByteCount, block = source + range.lowerBound
            if self.elementByteCount == 2 {
                loram_narrow_bf16(target.assumingMemoryBound(to: UInt16.self), block, range.count)
            } else {
                target.assumingMemoryBound(to: Float.self).update(from: block, count: range.count)
            }
        }
        return start
    }

    /// Makes the products, in the order of the backward pass, and calls `layerDone` behind each layer's last.
    func run(_ step: StepContext, layerDone: (_ layer: Int) throws -> Void) rethrows {
        var inputs = -1
        for (index, product) in products.enumerated() {
            let dy = read(step.pool, product.dy, count: rowCount * product.outputs, operands?.dy)
            let isNew = product.x != inputs
            let x = read(step.pool, product.x, count: isNew ? rowCount * product.inputs : 0, operands?.x)
            inputs = product.x
            step.products.weightGradient(
                step.gradients + product.gradientOffset, dy, x, rows: rowCount, outputs: product.outputs, inputs: product.inputs)
            if index + 1 == products.count || products[index + 1].layer != product.layer { try layerDone(product.layer) }
        }
    }

    private func read(_ pool: ThreadPool, _ start: Int, count: Int, _ operand: UnsafeMutablePointer<Float>?) -> UnsafePointer<Float> {
        let source = values + start * elementByteCount
        guard let operand else { return UnsafePointer(source.assumingMemoryBound(to: Float.self)) }
        pool.runBlocks(count, of: 1 << 16) { range, _ in
            loram_widen_bf16(operand + range.lowerBound, source.assumingMemoryBound(to: UInt16.self) + range.lowerBound, range.count)
        }
        return UnsafePointer(operand)
    }
}

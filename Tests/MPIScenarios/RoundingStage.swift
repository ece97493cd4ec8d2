import LoRAMDist
import TestSupport

/// Layers y[t, h] = w[h] x[t, h] whose gradients dw[h] = sum over t of dy[t, h] x[t, h] do not come out exact in f32: any change
/// in the order of additions shows in the bits.
final class RoundingStage: PipelineStage {
    static let layerCount = 4
    static let hiddenSize = 301

    let layers: Range<Int>
    let groups: GradientGroups
    let replica: Int
    let exchange: GradientExchange
    let scalars: StepReduction
    let poll: () -> Void
    /// [layer, hidden]
    let weights: UnsafeMutablePointer<Float>
    private let stash: [UnsafeMutablePointer<Float>]
    private let gradient: UnsafeMutablePointer<Float>
    private let maxCount = 8 * hiddenSize
    var step = 0

    init(
        layers: Range<Int>, slotCount: Int, groups: GradientGroups, replica: Int, exchange: GradientExchange,
        scalars: StepReduction, poll: @escaping () -> Void
    ) {
        self.layers = layers
        self.groups = groups
        self.replica = replica
        self.exchange = exchange
        self.scalars = scalars
        self.poll = poll
        weights = .allocate(capacity: max(1, layers.count * Self.hiddenSize))
        for (position, layer) in layers.enumerated() {
            for h in 0..<Self.hiddenSize {
                weights[position * Self.hiddenSize + h] = 0.5 + abs(RepeatableValues.float(layer, h)) / 512
            }
        }
        stash = (0..<slotCount).map { _ in .allocate(capacity: 8 * Self.hiddenSize) }
        gradient = .allocate(capacity: 8 * Self.hiddenSize)
    }

    deinit {
        weights.deallocate()
        gradient.deallocate()
        for pointer in stash { pointer.deallocate() }
    }

    private func globalIndex(_ microBatch: Int) -> Int { groups.microBatches(replica: replica).lowerBound + microBatch }
    private func tokenCount(_ microBatch: Int) -> Int { 3 + globalIndex(microBatch) % 5 }
    func boundaryCount(microBatch: Int) -> Int { tokenCount(microBatch) * Self.hiddenSize }

    /// The input of a layer of this stage, from the stage's own.
    private func value(_ input: Float, _ h: Int, through count: Int) -> Float {
        var value = input
        for position in 0..<count { value *= weights[position * Self.hiddenSize + h] }
        return value
    }

    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws {
        var loss = 0.0
        for index in 0..<boundaryCount(microBatch: microBatch) {
            let value = input?[index] ?? RepeatableValues.float(step * 100 + globalIndex(microBatch), index)
            stash[slot][index] = value
            let result = self.value(value, index % Self.hiddenSize, through: layers.count)
            output?[index] = result
            loss += Double(result) * Double(result) / 2
        }
        if output == nil {
            scalars.record(
                microBatch: globalIndex(microBatch), lossSum: loss, targetTokens: tokenCount(microBatch))
        }
        poll()
    }

    func recompute(microBatch: Int, slot: Int) throws { poll() }

    /// The products, micro-batch by micro-batch, by weight slot: [layer, hidden] of each token.
    private var deferred: [Int: [Float]] = [:]

    func weightGradients(microBatch: Int, weightSlot: Int) throws {
        let isLast = microBatch == groups.microBatches(replica: replica).count - 1
        guard let products = deferred.removeValue(forKey: weightSlot) else { throw ScenarioFailure("nothing was left in slot \(weightSlot)") }
        let count = boundaryCount(microBatch: microBatch)
        for position in layers.indices.map({ $0 - layers.lowerBound }).reversed() {
            for index in 0..<count {
                exchange.current[position * Self.hiddenSize + index % Self.hiddenSize] += products[position * count + index]
            }
            if isLast { try exchange.finishTail(from: position * Self.hiddenSize) }
            poll()
        }
        if groups.endsGroup(localMicroBatch: microBatch, replica: replica) { try exchange.finishGroup() }
    }

    func backward(
        microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?
    ) throws {
        let count = boundaryCount(microBatch: microBatch)
        let isLast = microBatch == groups.microBatches(replica: replica).count - 1
        for index in 0..<count {
            gradient[index] =
                outputGradient?[index] ?? value(stash[slot][index], index % Self.hiddenSize, through: layers.count)
        }
        var products = [Float](repeating: 0, count: weightSlot == nil ? 0 : layers.count * count)
        for position in layers.indices.map({ $0 - layers.lowerBound }).reversed() {
            for index in 0..<count {
                let h = index % Self.hiddenSize
                let parameter = position * Self.hiddenSize + h
                let product = gradient[index] * value(stash[slot][index], h, through: position)
                if weightSlot == nil { exchange.current[parameter] += product } else { products[position * count + index] = product }
                gradient[index] *= weights[parameter]
            }
            if isLast, weightSlot == nil { try exchange.finishTail(from: position * Self.hiddenSize) }
            poll()
        }
        inputGradient?.update(from: gradient, count: count)
        if let weightSlot {
            deferred[weightSlot] = products
        } else if groups.endsGroup(localMicroBatch: microBatch, replica: replica) { try exchange.finishGroup() }
    }
}

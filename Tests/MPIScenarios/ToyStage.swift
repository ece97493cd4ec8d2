import LoRAMDist
import TestSupport

/// A run of layers y = w x + b, elementwise, with weights small enough that all arithmetic is exact: the result of any schedule
/// on any number of ranks can be compared bit by bit with the same layers in a loop.
final class ToyStage: PipelineStage {
    static let layerCount = 4
    static func weight(_ layer: Int) -> Float { [2, 0.5, -1, 4][layer] }
    static func bias(_ layer: Int) -> Float { Float(layer - 2) }
    static func input(_ microBatch: Int, _ index: Int) -> Float { Float((microBatch * 7 + index) % 5) }

    let layers: Range<Int>
    let baseCount: Int
    /// Of large messages only every so many elements are computed with.
    let step: Int
    let recomputesAhead: Bool
    let poll: () -> Void
    /// Stage input by slot, and whose it is.
    private var stash: [UnsafeMutablePointer<Float>]
    private var owner: [Int?]
    private var recomputed: Int?
    private var backwardCount = 0
    /// By weight slot: whose gradients of weights wait, and what they are.
    private var deferred: [Int: (microBatch: Int, weights: [Double])] = [:]
    private var outputs: [Int: UnsafeMutablePointer<Float>] = [:]
    /// Sum over micro-batches and elements of dL/dw and dL/db per layer, with L = sum of y^2 / 2.
    private(set) var weightGradients: [Double]
    private(set) var biasGradients: [Double]
    private(set) var loss = 0.0

    init(layers: Range<Int>, baseCount: Int, slotCount: Int, recomputesAhead: Bool, poll: @escaping () -> Void) {
        self.layers = layers
        self.baseCount = baseCount
        step = baseCount > 10_000 ? baseCount / 200 : 1
        self.recomputesAhead = recomputesAhead
        self.poll = poll
        stash = (0..<slotCount).map { _ in .allocate(capacity: baseCount + 64) }
        owner = Array(repeating: nil, count: slotCount)
        weightGradients = Array(repeating: 0, count: layers.count)
        biasGradients = weightGradients
    }

    deinit {
        for pointer in stash { pointer.deallocate() }
    }

    func begin() {
        backwardCount = 0
        loss = 0
        for index in weightGradients.indices {
            weightGradients[index] = 0
            biasGradients[index] = 0
        }
    }

    /// Every micro-batch has another length.
    func boundaryCount(microBatch: Int) -> Int { baseCount + microBatch % 64 }

    private func value(_ input: Float, through layerCount: Int) -> Float {
        var value = input
        for layer in layers.prefix(layerCount) { value = Self.weight(layer) * value + Self.bias(layer) }
        return value
    }

    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws {
        try require((input == nil) == (layers.lowerBound == 0), "input of the first stage only")
        try require((output == nil) == (layers.upperBound == Self.layerCount), "output of all but the last stage")
        try require(owner[slot] == nil, "slot \(slot) is given out twice")
        owner[slot] = microBatch
        let count = boundaryCount(microBatch: microBatch)
        for index in stride(from: 0, to: count, by: step) {
            let value = input?[index] ?? Self.input(microBatch, index)
            stash[slot][index] = value
            let result = self.value(value, through: layers.count)
            if let output { output[index] = result } else { loss += Double(result) * Double(result) / 2 }
            if index % 64 == 0 { poll() }
        }
    }

    func recompute(microBatch: Int, slot: Int) throws {
        try require(owner[slot] == microBatch, "recomputation of micro-batch \(microBatch) in the slot of another")
        try require(recomputed == nil, "two micro-batches are recomputed ahead")
        recomputed = microBatch
    }

    /// Adds what `backward` left.
    func weightGradients(microBatch: Int, weightSlot: Int) throws {
        guard let left = deferred.removeValue(forKey: weightSlot), left.microBatch == microBatch else {
            throw ScenarioFailure("weight gradients of micro-batch \(microBatch) are not in slot \(weightSlot)")
        }
        for position in layers.indices.map({ $0 - layers.lowerBound }) { weightGradients[position] += left.weights[position] }
    }

    func backward(
        microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?
    ) throws {
        try require(owner[slot] == microBatch, "backward of micro-batch \(microBatch) in the slot of another")
        try require(backwardCount == microBatch, "backward out of order")
        backwardCount += 1
        if recomputesAhead && outputGradient != nil { try require(recomputed == microBatch, "not recomputed ahead") }
        recomputed = nil
        owner[slot] = nil
        try require((outputGradient == nil) == (layers.upperBound == Self.layerCount), "gradient of the last stage")
        try require((inputGradient == nil) == (layers.lowerBound == 0), "input gradient of all but the first stage")
        if let weightSlot { try require(deferred[weightSlot] == nil, "weight slot \(weightSlot) is given out twice") }
        let count = boundaryCount(microBatch: microBatch), before = weightGradients
        defer {
            if let weightSlot {
                deferred[weightSlot] = (microBatch, zip(weightGradients, before).map { $0 - $1 })
                weightGradients = before
            }
        }
        for index in stride(from: 0, to: count, by: step) {
            let input = stash[slot][index]
            var gradient = outputGradient?[index] ?? value(input, through: layers.count)
            for (position, layer) in layers.enumerated().reversed() {
                weightGradients[position] += Double(gradient) * Double(value(input, through: position))
                biasGradients[position] += Double(gradient)
                gradient *= Self.weight(layer)
            }
            inputGradient?[index] = gradient
            if index % 64 == 0 { poll() }
        }
    }

    /// Frees all slots after forward passes alone.
    func forgetForward() {
        for index in owner.indices { owner[index] = nil }
    }
}

import Foundation
import LoRAMDist
import TestSupport

let pipelineScenarios = [
    // KIND AHEAD(0|1) MICRO_BATCHES COUNT STEPS: ranks are stages of the toy model.
    Scenario(name: "pipeline") { runtime, arguments in
        let world = runtime.world
        guard let kind = arguments.first.flatMap(Schedule.Kind.init(rawValue:)) else { throw ScenarioFailure("kind") }
        let ahead = try arguments.integer(1) == 1
        let microBatches = try arguments.integer(2)
        let count = try arguments.integer(3)
        let schedule = Schedule.training(kind, stages: world.size, microBatchCount: microBatches, recomputeAhead: ahead)
        let executor = try ScheduleExecutor(
            schedule: schedule, pipeline: world, maxBoundaryCount: count + 63, marker: ProgressMarker())
        let stage = makeStage(executor, count: count, recomputesAhead: ahead)
        let expected = reference(microBatches: microBatches, count: count)
        for _ in 0..<(try arguments.integer(4)) {
            stage.begin()
            let timing = try executor.run(stage)
            try require(timing.wait <= timing.total && timing.total > .zero, "waited \(timing.wait) of \(timing.total)")
            try check(stage, against: expected, world)
        }
        print("rank \(world.rank): \(stage.layers)")
    },
    // MICRO_BATCHES COUNT: forward passes alone, then a training step with another executor on the same communicator.
    Scenario(name: "forward-only") { runtime, arguments in
        let world = runtime.world
        let microBatches = try arguments.integer(0)
        let count = try arguments.integer(1)
        let schedule = Schedule.forwardOnly(stages: world.size, microBatchCount: microBatches)
        let executor = try ScheduleExecutor(
            schedule: schedule, pipeline: world, maxBoundaryCount: count + 63, marker: ProgressMarker())
        let stage = EvaluatingStage(makeStage(executor, count: count, recomputesAhead: false))
        let expected = reference(microBatches: microBatches, count: count)
        for _ in 0..<3 {
            stage.toy.begin()
            try executor.run(stage)
            let loss = try world.allReduce(stage.toy.loss, .sum)
            try require(loss == expected.loss, "loss \(loss), expected \(expected.loss)")
        }
    },
    // Resident memory over three times 200 steps. MPI may enlarge a pool of its own once; what a step allocates would show in all
    // three.
    Scenario(name: "steady") { runtime, _ in
        let world = runtime.world
        let schedule = Schedule.training(
            .oneForwardOneBackward, stages: world.size, microBatchCount: 6, recomputeAhead: true)
        let executor = try ScheduleExecutor(
            schedule: schedule, pipeline: world, maxBoundaryCount: 20_063, marker: ProgressMarker())
        let stage = makeStage(executor, count: 20_000, recomputesAhead: true)
        var growths: [Int] = []
        for _ in 0..<3 {
            let before = residentBytes()
            for _ in 0..<200 {
                stage.begin()
                try executor.run(stage)
            }
            growths.append(residentBytes() - before)
        }
        try require(growths.min()! < 16 << 10, "rank \(world.rank) grew by \(growths) bytes in 200 steps each")
    },
    // AHEAD(0|1) MICRO_BATCHES: unequal stages that sleep instead of computing, so that more ranks than cores do not slow one another
    // down. The bubble is the simulator's.
    Scenario(name: "bubble") { runtime, arguments in
        let world = runtime.world, ahead = try arguments.integer(0) == 1
        let schedule = Schedule.training(
            .oneForwardOneBackward, stages: world.size, microBatchCount: try arguments.integer(1), recomputeAhead: ahead)
        let costs = (0..<world.size).map { stage -> LayerCost in
            let weight = [1, 1.15, 0.9, 1.2][stage % 4]
            return LayerCost(forward: 0.02 * weight, recompute: ahead ? 0.02 * weight : 0, inputGradient: 0.045 * weight)
        }
        let executor = try ScheduleExecutor(schedule: schedule, pipeline: world, maxBoundaryCount: 512, marker: ProgressMarker())
        let stage = SleepingStage(costs[world.rank]) { [unowned executor] in executor.pollProgress() }
        var bubbles: [Double] = []
        for _ in 0..<3 {
            try world.barrier()
            let timing = try executor.run(stage)
            let busy = try world.allReduce((timing.total - timing.wait) / .seconds(1), .sum)
            bubbles.append(1 - busy / (Double(world.size) * (try world.allReduce(timing.total / .seconds(1), .max))))
        }
        let foretold = try ScheduleSimulation(schedule, costs: costs).bubble, measured = bubbles.sorted()[1]
        if world.rank == 0 { print("bubble foretold \(foretold), measured \(measured)") }
        try require(abs(foretold / measured - 1) < 0.1, "bubble foretold \(foretold), measured \(bubbles)")
    },
    // A schedule for another number of ranks.
    Scenario(name: "wrong-stages") { runtime, _ in
        let schedule = Schedule.training(.gpipe, stages: runtime.world.size + 1, microBatchCount: 2)
        _ = try ScheduleExecutor(schedule: schedule, pipeline: runtime.world, maxBoundaryCount: 1, marker: ProgressMarker())
    },
    // The last stage fails in its second backward pass while messages are under way.
    Scenario(name: "stage-throws") { runtime, arguments in
        let world = runtime.world
        let schedule = Schedule.training(.oneForwardOneBackward, stages: world.size, microBatchCount: 6)
        let executor = try ScheduleExecutor(
            schedule: schedule, pipeline: world, maxBoundaryCount: 100_063, marker: ProgressMarker())
        let toy = makeStage(executor, count: 100_000, recomputesAhead: false)
        try executor.run(world.rank == world.size - 1 ? FailingStage(toy) : toy)
    },
]

private func makeStage(_ executor: ScheduleExecutor, count: Int, recomputesAhead: Bool) -> ToyStage {
    let stages = executor.schedule.stages
    let layers = ToyStage.layerCount * executor.stageIndex / stages..<ToyStage.layerCount * (executor.stageIndex + 1) / stages
    return ToyStage(
        layers: layers, baseCount: count, slotCount: executor.slotCount, recomputesAhead: recomputesAhead,
        poll: { [unowned executor] in executor.pollProgress() })
}

private func reference(microBatches: Int, count: Int) -> (loss: Double, weight: [Double], bias: [Double]) {
    let whole = ToyStage(
        layers: 0..<ToyStage.layerCount, baseCount: count, slotCount: 1, recomputesAhead: false, poll: {})
    for microBatch in 0..<microBatches {
        try! whole.forward(microBatch: microBatch, slot: 0, input: nil, output: nil)
        try! whole.backward(microBatch: microBatch, slot: 0, weightSlot: nil, outputGradient: nil, inputGradient: nil)
    }
    return (whole.loss, whole.weightGradients, whole.biasGradients)
}

private func check(
    _ stage: ToyStage, against expected: (loss: Double, weight: [Double], bias: [Double]), _ world: Communicator
) throws {
    let loss = try world.allReduce(stage.loss, .sum)
    try require(loss == expected.loss, "loss \(loss), expected \(expected.loss)")
    for (position, layer) in stage.layers.enumerated() {
        try require(
            stage.weightGradients[position] == expected.weight[layer],
            "gradient of weight \(layer): \(stage.weightGradients[position]), expected \(expected.weight[layer])")
        try require(stage.biasGradients[position] == expected.bias[layer], "gradient of bias \(layer)")
    }
}

private func residentBytes() -> Int {
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .ascii))?.split(separator: " ") ?? []
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4_096 : 0
}

/// The toy stage under a schedule of forward passes alone, where one slot serves all.
private final class EvaluatingStage: PipelineStage {
    let toy: ToyStage
    init(_ toy: ToyStage) { self.toy = toy }
    func boundaryCount(microBatch: Int) -> Int { toy.boundaryCount(microBatch: microBatch) }
    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws {
        try require(slot == 0, "one slot is enough")
        try toy.forward(microBatch: microBatch, slot: slot, input: input, output: output)
        toy.forgetForward()
    }
    func recompute(microBatch: Int, slot: Int) throws { throw ScenarioFailure("recomputation without backward") }
    func weightGradients(microBatch: Int, weightSlot: Int) throws { throw ScenarioFailure("weight gradients without backward") }
    func backward(
        microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?
    ) throws { throw ScenarioFailure("backward in a schedule of forward passes") }
}

/// Sleeps as long as a cost says, in seconds, and lets messages move on meanwhile.
private final class SleepingStage: PipelineStage {
    private let cost: LayerCost
    private let poll: () -> Void
    private var recomputed: Set<Int> = []

    init(_ cost: LayerCost, poll: @escaping () -> Void) {
        self.cost = cost
        self.poll = poll
    }

    func boundaryCount(microBatch: Int) -> Int { 512 }

    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) { sleep(cost.forward) }

    func recompute(microBatch: Int, slot: Int) {
        recomputed.insert(microBatch)
        sleep(cost.recompute)
    }

    func backward(
        microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?
    ) {
        sleep(cost.backward + (recomputed.remove(microBatch) == nil ? cost.recompute : 0))
    }

    func weightGradients(microBatch: Int, weightSlot: Int) { preconditionFailure("the schedule has no passes for weights alone") }

    private func sleep(_ seconds: Double) {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            usleep(1_000)
            poll()
        }
    }
}

private final class FailingStage: PipelineStage {
    let toy: ToyStage
    init(_ toy: ToyStage) { self.toy = toy }
    func boundaryCount(microBatch: Int) -> Int { toy.boundaryCount(microBatch: microBatch) }
    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws {
        try toy.forward(microBatch: microBatch, slot: slot, input: input, output: output)
    }
    func recompute(microBatch: Int, slot: Int) throws { try toy.recompute(microBatch: microBatch, slot: slot) }
    func weightGradients(microBatch: Int, weightSlot: Int) throws { try toy.weightGradients(microBatch: microBatch, weightSlot: weightSlot) }
    func backward(
        microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?
    ) throws {
        if microBatch == 1 { throw ScenarioFailure("loss of micro-batch 1 is not finite", exitCode: .badInput) }
        try toy.backward(
            microBatch: microBatch, slot: slot, weightSlot: weightSlot, outputGradient: outputGradient, inputGradient: inputGradient)
    }
}

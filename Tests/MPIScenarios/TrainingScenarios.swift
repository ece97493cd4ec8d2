import Foundation
import LoRAMDist
import TestSupport

let trainingScenarios = [
    // STAGES REPLICAS KIND AHEAD(0|1) MICRO_BATCHES: all parts together, three updates. Prints loss, norm and weights, which
    // are to have the same bits on every grid and with every schedule.
    Scenario(name: "train") { runtime, arguments in
        let dims = try ParallelDims(stages: try arguments.integer(0), replicas: try arguments.integer(1))
        guard let kind = Schedule.Kind(rawValue: arguments[2]) else { throw ScenarioFailure("kind") }
        let marker = ProgressMarker()
        let grid = try ProcessGrid(dims: dims, world: runtime.world)
        let seat = grid.seat
        let groups = try GradientGroups(
            globalBatch: try arguments.integer(4), microBatch: 1, replicas: dims.replicas, mode: .reproducible)
        let schedule = Schedule.training(
            kind, stages: dims.stages, microBatchCount: groups.microBatches(replica: seat.position.replica).count,
            recomputeAhead: try arguments.integer(3) == 1, groupSize: groups.microBatchesPerGroup)
        let hidden = RoundingStage.hiddenSize
        let executor = try ScheduleExecutor(
            schedule: schedule, pipeline: seat.pipeline, maxBoundaryCount: 8 * hidden, marker: marker)
        // The last stage of five has no layer: the head alone.
        let cuts = dims.stages == 5 ? [0, 1, 2, 3, 4, 4] : (0...dims.stages).map { 4 * $0 / dims.stages }
        let layers = cuts[seat.position.stage]..<cuts[seat.position.stage + 1]
        let exchange = GradientExchange(
            count: layers.count * hidden, groups: groups,
            plan: ShardPlan(count: layers.count * hidden, replicas: dims.replicas, mode: .reproducible, bucketCount: 250), replicas: seat.replicas,
            marker: marker)
        let norm = try GradientNorm(
            tensors: layers.enumerated().map {
                GradientNorm.Tensor(name: "layers.\($0.element).weight", offset: $0.offset * hidden, count: hidden)
            }, pipeline: seat.pipeline)
        let scalars = StepReduction(groups: groups)
        let stage = RoundingStage(
            layers: layers, slotCount: executor.slotCount, groups: groups, replica: seat.position.replica, exchange: exchange,
            scalars: scalars, poll: { [unowned executor] in executor.pollProgress() })
        executor.onIdle = { try exchange.progress() }
        for step in 0..<3 {
            stage.step = step
            exchange.begin()
            scalars.begin()
            try executor.run(stage)
            try exchange.finish()
            let (loss, tokens) = try scalars.reduce(over: seat.training)
            let squared = try norm.squaredNorm(of: exchange.total)
            for index in 0..<exchange.count {
                stage.weights[index] -= 1e-3 * exchange.total[index] / Float(tokens)
            }
            if runtime.world.rank == 0 {
                print(step, String(loss.bitPattern, radix: 16), tokens, String(squared.bitPattern, radix: 16))
            }
        }
        // Every replica's weights, by layer: the lines of all ranks, without repetition, are the model.
        let lines = layers.enumerated().map { position, layer in
            "layer \(layer) \(RepeatableValues.hash(stage.weights + position * hidden, count: hidden))"
        }
        let all = try runtime.world.allGather(Data(lines.map { $0 + "\n" }.joined().utf8))
        if runtime.world.rank == 0 {
            let text = all.map { String(decoding: $0, as: UTF8.self) }.joined()
            for line in Set(text.split(separator: "\n")).sorted() { print(line) }
        }
        try grid.free()
    }
]

import Foundation
import LoRAMDist
import TestSupport

let reductionScenarios = [
    // MODE COUNT MICRO_BATCHES BUCKET: every rank is a replica. Prints the hash of the summed gradient, the bits of the summed loss
    // and of the squared norm, for three steps.
    Scenario(name: "reduce") { runtime, arguments in
        let world = runtime.world
        guard let mode = arguments.first.flatMap(ReductionMode.init(rawValue:)) else { throw ScenarioFailure("mode") }
        let count = try arguments.integer(1)
        // Halves arrive in several pieces.
        world.messagePieceLimit = 100
        let groups = try GradientGroups(
            globalBatch: try arguments.integer(2), microBatch: 1, replicas: world.size, mode: mode)
        let marker = ProgressMarker()
        let exchange = GradientExchange(
            count: count, groups: groups,
            plan: ShardPlan(count: count, replicas: world.size, mode: mode, bucketCount: try arguments.integer(3)), replicas: world, marker: marker)
        let scalars = StepReduction(groups: groups)
        for step in 0..<3 {
            exchange.begin()
            scalars.begin()
            let own = groups.microBatches(replica: world.rank)
            for (local, microBatch) in own.enumerated() {
                let isLast = microBatch == own.upperBound - 1
                // A backward pass of seven layers, from the last to the first.
                for layer in stride(from: 6, through: 0, by: -1) {
                    let range = count * layer / 7..<count * (layer + 1) / 7
                    let target = exchange.current
                    for index in range { target[index] += RepeatableValues.float(step * 1_000 + microBatch, index) }
                    if isLast { try exchange.finishTail(from: range.lowerBound) }
                    try exchange.progress()
                }
                if groups.endsGroup(localMicroBatch: local, replica: world.rank) { try exchange.finishGroup() }
                scalars.record(
                    microBatch: microBatch, lossSum: RepeatableValues.double(step, microBatch), targetTokens: microBatch + 1)
            }
            try exchange.finish()
            let loss = try scalars.reduce(over: world)
            let hash = RepeatableValues.hash(exchange.total, count: count)
            let hashes = try world.allGather(Data(hash.utf8))
            try require(hashes.allSatisfy { $0 == hashes[0] }, "the replicas have different sums")
            let sum = (0..<count).reduce(0.0) { $0 + Double(exchange.total[$1]) }
            if world.rank == 0 {
                print(step, hash, String(loss.lossSum.bitPattern, radix: 16), loss.targetTokens, sum)
            }
        }
    },
    // COUNT: with `extent: .segment` each rank has its part of the sum, and the parts cover everything once.
    Scenario(name: "segments") { runtime, arguments in
        let world = runtime.world
        let count = try arguments.integer(0)
        let marker = ProgressMarker()
        let whole = ReproducibleReducer(replicas: world, maxBucketCount: count, marker: marker)
        let parts = ReproducibleReducer(replicas: world, maxBucketCount: count, extent: .segment, marker: marker)
        let first = UnsafeMutablePointer<Float>.allocate(capacity: count)
        let second = UnsafeMutablePointer<Float>.allocate(capacity: count)
        for index in 0..<count {
            first[index] = RepeatableValues.float(world.rank, index)
            second[index] = first[index]
        }
        let buckets = [0..<count / 3, count / 3..<count / 3 + 1, count / 3 + 1..<count]
        // Reducers on one communicator work one after the other: their messages carry the same tag.
        for bucket in buckets { try whole.start(bucket, of: first) }
        try whole.finish()
        for bucket in buckets { try parts.start(bucket, of: second) }
        try parts.finish()
        var owned = 0
        for bucket in buckets {
            let segment = parts.segment(of: bucket)
            owned += segment.count
            for index in segment { try require(first[index].bitPattern == second[index].bitPattern, "element \(index)") }
        }
        try require(try world.allReduce(Int64(owned), .sum) == Int64(count), "segments cover the buckets once")
    },
    // The squared norm of 12 tensors, dealt to the stages in contiguous runs; the first and the last stage hold one in common.
    Scenario(name: "norm") { runtime, _ in
        let world = runtime.world
        let counts = [70_000, 3, 65_536, 131_072, 1, 200_001, 65_535, 65_537, 17, 9_000, 4, 100_000]
        let range = 12 * world.rank / world.size..<12 * (world.rank + 1) / world.size
        var tensors: [GradientNorm.Tensor] = []
        var values: [Float] = []
        func add(_ tensor: Int) {
            let name = tensor == 99 ? "model.embed" : "layers.\(11 - tensor).weight"
            let count = tensor == 99 ? 66_000 : counts[tensor]
            tensors.append(GradientNorm.Tensor(name: name, offset: values.count, count: count))
            for index in 0..<count { values.append(RepeatableValues.float(tensor, index)) }
        }
        for tensor in range { add(tensor) }
        if world.rank == 0 || world.rank == world.size - 1 { add(99) }
        let norm = try GradientNorm(tensors: tensors, pipeline: world)
        let once = try norm.squaredNorm(of: values)
        // Blocks in another order, as threads would do them.
        norm.begin()
        let pointer = UnsafeMutablePointer<Float>.allocate(capacity: values.count)
        defer { pointer.deallocate() }
        pointer.initialize(from: values, count: values.count)
        for block in (0..<norm.localBlockCount).reversed() { norm.sumBlocks(block..<block + 1, of: [UnsafePointer(pointer)]) }
        try require(try norm.squaredNorm().bitPattern == once.bitPattern, "the order of blocks changes the norm")
        if world.rank == 0 { print(String(once.bitPattern, radix: 16), once) }
    },
    // Two stages that disagree about a tensor.
    Scenario(name: "norm-mismatch") { runtime, _ in
        let tensor = GradientNorm.Tensor(name: "lm_head.weight", offset: 0, count: 10 + runtime.world.rank)
        _ = try GradientNorm(tensors: [tensor], pipeline: runtime.world)
    },
]

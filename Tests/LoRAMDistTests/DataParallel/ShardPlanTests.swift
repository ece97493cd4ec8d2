import LoRAMDist
import LoRAMEngine
import Testing

struct ShardPlanTests {
    /// Matrices of many blocks and vectors of less than one, as a model has them.
    private static let layout = ParameterLayout([
        (name: "model.embed_tokens.weight", shape: [1000, 1001], tiedTo: nil), (name: "a", shape: [33], tiedTo: nil),
        (name: "b", shape: [900, 1100], tiedTo: nil), (name: "c", shape: [7], tiedTo: nil), (name: "d", shape: [300, 301], tiedTo: nil),
        (name: "lm_head.weight", shape: [1000, 1001], tiedTo: "model.embed_tokens.weight"),
    ])

    private static func plan(_ replicas: Int, _ mode: ReductionMode = .reproducible) -> ShardPlan {
        ShardPlan(sharding: layout, replicas: replicas, mode: mode, bucketCount: 300_000)
    }

    @Test(arguments: [1, 2, 4, 8, 16]) func partsCoverEverythingOnce(replicas: Int) {
        for (mode, replicas) in [(ReductionMode.reproducible, replicas), (.fast, replicas + 2)] {
            let plan = Self.plan(replicas, mode)
            #expect(plan.buckets.first?.lowerBound == 0 && plan.buckets.last?.upperBound == Self.layout.count)
            #expect(zip(plan.buckets, plan.buckets.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
            var isOwned = [Bool](repeating: false, count: Self.layout.count)
            for replica in 0..<replicas {
                for (bucket, part) in zip(plan.buckets, plan.parts(replica: replica)) where !part.isEmpty {
                    #expect(part.clamped(to: bucket) == part)
                    for index in part {
                        #expect(!isOwned[index])
                        isOwned[index] = true
                    }
                }
            }
            #expect(isOwned.allSatisfy { $0 })
        }
    }

    /// A block of the norm's sum is one replica's.
    @Test(arguments: [2, 8]) func blocksStayWhole(replicas: Int) {
        let plan = Self.plan(replicas)
        for tensor in Self.layout.tensors {
            for start in stride(from: 0, to: tensor.count, by: GradientNorm.blockCount) {
                let block = tensor.offset + start..<tensor.offset + min(start + GradientNorm.blockCount, tensor.count)
                let holders = (0..<replicas).filter { plan.parts(replica: $0).contains { $0.overlaps(block) } }
                #expect(holders.count == 1, "\(tensor.name) at \(start)")
            }
        }
    }

    /// Both copies of a tied matrix are cut alike, also where each is on a stage of its own.
    @Test(arguments: [2, 4, 8]) func tiedCopiesAreCutAlike(replicas: Int) {
        let first = ParameterLayout(Self.layout.tensors.dropLast().map { ($0.name, $0.shape, nil) })
        let last = ParameterLayout([("e", [129, 1000], nil), ("lm_head.weight", [1000, 1001], "model.embed_tokens.weight")])
        func elements(_ layout: ParameterLayout, _ name: String, _ replica: Int) -> [Range<Int>] {
            let tensor = layout.tensor(named: name)!
            return ShardPlan(sharding: layout, replicas: replicas, mode: .reproducible, bucketCount: 300_000).parts(replica: replica)
                .map { $0.clamped(to: tensor.offset..<tensor.offset + tensor.count) }.filter { !$0.isEmpty }
                .map { $0.lowerBound - tensor.offset..<$0.upperBound - tensor.offset }
        }
        for replica in 0..<replicas {
            let expected = elements(Self.layout, "model.embed_tokens.weight", replica)
            #expect(elements(Self.layout, "lm_head.weight", replica) == expected)
            #expect(elements(first, "model.embed_tokens.weight", replica) == expected)
            #expect(elements(last, "lm_head.weight", replica) == expected)
        }
    }

    /// What `plan` counts for alignment: masters and moments fall as 1 / replicas, the weights themselves do not. 2.1 G parameters on a stage.
    @Test func optimizerMemoryFallsWithReplicas() throws {
        var whole = 0
        for replicas in [1, 2, 4, 8] {
            let settings = try PlanFixture.settings(["alignment.data.length=64"], phase: .align)
            let layout = try TrainingLayout(
                config: PlanFixture.pruned(.llama2_13B, 0.65), settings: settings, dims: ParallelDims(stages: 3, replicas: replicas))
            let kernels = try ComputeKernels(type: .bf16, name: "portable")
            let memory = layout.memory(stage: 1, weights: WeightBytes(), sharesFrozen: true, kernels: kernels, workers: 1, process: PlanFixture.process)
            let count = layout.gradientCount(stage: 1)
            // bf16 weights, each norm in f32 beside them.
            #expect(memory.parameters >= 2 * count && memory.parameters < 2 * count + count / 100)
            if replicas == 1 { whole = memory.moments }
            #expect(whole == 12 * count)
            let ratio = Double(memory.moments) * Double(replicas) / Double(whole)
            #expect(ratio >= 1 && ratio < 1.05, "\(replicas) replicas: \(ratio)")
        }
    }
}

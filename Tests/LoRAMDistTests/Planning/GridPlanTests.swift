import LoRAMDist
import LoRAMEngine
import Testing

/// Settings for plans.
enum PlanFixture {
    static let kernels = try! ComputeKernels(name: "portable")
    static let process = ProcessMemory(program: 44 << 20)

    static func settings(_ overrides: [String] = [], phase: Recipe.Phase = .train) throws -> TrainingSettings {
        TrainingSettings(recipe: try Recipe.load(file: nil, overrides: overrides), phase: phase, tied: false)
    }

    static func pruned(_ model: ModelPreset, _ ratio: Double) throws -> LlamaConfig {
        var pruning = PruningRecipe()
        pruning.ratio = ratio
        return try ModelPlan(model.config, pruning).trained
    }

    static func small(layers: Int = 4, tied: Bool = false) -> LlamaConfig {
        let geometry = LayerGeometry(headCount: 4, keyValueHeadCount: 2, intermediateSize: 48)
        return LlamaConfig(
            hiddenSize: 32, vocabularySize: 480, headDim: 8, maxPositionCount: 128, layers: Array(repeating: geometry, count: layers),
            rmsNormEpsilon: 1e-5, rope: RoPEConfig(theta: 10_000), tiesWordEmbeddings: tied, dtype: .f32)
    }

    static func plan(
        _ config: LlamaConfig, stages: Int, replicas: Int = 1, _ overrides: [String] = [], speed: PlanSpeed = PlanSpeed(rates: StepRates(50), coresPerRank: 1)
    ) throws -> GridPlan {
        let layout = try TrainingLayout(config: config, settings: settings(overrides), dims: ParallelDims(stages: stages, replicas: replicas))
        return try GridPlan(layout, memories: layout.memories(weights: WeightBytes(), sharesFrozen: true, kernels: kernels, workers: 2, process: process), speed: speed)
    }
}

struct GridPlanTests {
    /// Without attention, LoRA and recomputation in the way: the cut by cost and by numbers of layers of pruned 3.1-70B.
    @Test(arguments: [(4, 0.98, 0.735), (8, 0.92, 0.49), (16, 0.915, 0.29)])
    func efficiencyOfTheCut(stages: Int, weighted: Double, equal: Double) throws {
        let plan = try PlanFixture.plan(
            PlanFixture.pruned(.llama31_70B, 0.85), stages: stages, ["data.length=2", "lora.rank=1", "lora.targets=[lm_head]", "compute.recompute=none"])
        #expect(abs(plan.partitionEfficiency - weighted) < 0.005 && abs(plan.equalLayersEfficiency - equal) < 0.006)
        if stages == 4 { #expect(plan.stages.map(\.ranges[0].layers.count) == [10, 29, 29, 12]) }
    }

    @Test func bubbleOfEqualStages() throws {
        // Two tokens: attention, whose backward pass costs more than its forward, does not count.
        let config = try PlanFixture.pruned(.llama2_70B, 0.85), setting = ["batch.global=64", "data.length=2", "lora.rank=1", "lora.targets=[q_proj]"]
        let ahead = try PlanFixture.plan(config, stages: 8, setting), plain = try PlanFixture.plan(config, stages: 8, setting + ["parallel.recompute_ahead=false"])
        // With a recomputation as dear as a forward pass it would be 0.226; each layer's last product, left out, is a fifth of that.
        let equal = LayerCost(forward: 1, recompute: 1, inputGradient: 1)
        let simulation = try ScheduleSimulation(ahead.layout.schedule, costs: Array(repeating: equal, count: 8))
        #expect(abs(simulation.bubble - 0.226) < 0.001, "\(simulation.bubble)")
        #expect(ahead.equalStagesBubble > 0.226 && ahead.equalStagesBubble < plain.equalStagesBubble)
        #expect(abs(plain.equalStagesBubble - 7.0 / 23) < 1e-9)
        #expect(ahead.bubble >= ahead.equalStagesBubble && ahead.stepSeconds < plain.stepSeconds)
    }

    @Test func partsAddUpToTheModel() throws {
        let config = try PlanFixture.pruned(.llama31_70B, 0.85)
        let whole = try PlanFixture.plan(config, stages: 1), cut = try PlanFixture.plan(config, stages: 8, replicas: 4)
        for plan in [whole, cut] {
            #expect(plan.stages.reduce(0) { $0 + $1.weightParameters } == config.parameterCount)
            #expect(plan.stages.reduce(0) { $0 + $1.trainedParameters } == 53_169_984)
            #expect(plan.stages.flatMap { Array($0.ranges[0].layers) } == Array(0..<80))
        }
        #expect(abs(cut.stepFlops / whole.stepFlops - 1) < 1e-9)
        #expect(whole.stages[0].memory.frozen == (config.parameterCount - 161 * 8192) * 2)
        // Gradients of all stages, in f32, one and a half times around four replicas: 213 MB x 2 x 3/4.
        let reduced = cut.stages.reduce(0) { $0 + $1.allReduceBytes }
        #expect(abs(Double(reduced) / (53_169_984 * 4 * 1.5) - 1) < 1e-4)
        #expect(whole.stages[0].allReduceBytes == 0 && whole.stages[0].boundaryBytes == 0 && whole.bubble == 0)
        // 8 micro-batches a replica, 4 x 512 tokens of 8192 floats, one way at the ends and both between.
        let message = 8 * 4 * 512 * 8192 * 4
        #expect(cut.stages.map(\.boundaryBytes) == [message] + Array(repeating: 2 * message, count: 6) + [message])
    }

    @Test func timeFollowsSpeedAndMessages() throws {
        let config = try PlanFixture.pruned(.llama2_13B, 0.65)
        func seconds(_ gigaflops: Double, _ bandwidth: Double, ranksPerNode: Int = 1) throws -> Double {
            try PlanFixture.plan(
                config, stages: 4, replicas: 2,
                speed: PlanSpeed(rates: StepRates(gigaflops), coresPerRank: 4, ranksPerNode: ranksPerNode, bandwidth: bandwidth)
            ).stepSeconds
        }
        let plain = try seconds(50, 1e15)
        #expect(abs(try seconds(100, 1e15) / plain - 0.5) < 1e-6)
        #expect(try seconds(50, 1e8) > plain)
        // The ranks of a node share its link.
        #expect(try seconds(50, 1e8, ranksPerNode: 2) > seconds(50, 1e8))
        let alone = try PlanFixture.plan(config, stages: 1)
        #expect(abs(alone.stepSeconds - alone.stepFlops / 50e9) / alone.stepSeconds < 1e-9)
    }

    @Test func absurdSizesAreRefusedNotCounted() {
        let config = ModelPreset.llama31_70B.config
        for overrides in [
            ["batch.global=16777216", "batch.micro=1048576", "data.length=131072"], ["batch.global=16777216", "batch.micro=1"],
        ] {
            #expect(throws: PlanError.self) { try PlanFixture.plan(config, stages: 8, overrides) }
        }
        #expect(throws: TrainingError.self) { try PlanFixture.plan(config, stages: 8, ["data.length=131073"]) }
        #expect(throws: TopologyError.tooManyStages(stages: 81, layers: 80)) { try PlanFixture.plan(config, stages: 81) }
        #expect(throws: GradientGroupsError.self) { try PlanFixture.plan(config, stages: 1, replicas: 3) }
    }

    /// What is counted is what a stage allocates, to the byte.
    @Test(arguments: [["compute.recompute=full"], ["compute.recompute=none"], ["compute.recompute=full", "parallel.recompute_ahead=false"]], [false, true])
    func memoryIsWhatTheStageAllocates(overrides: [String], dense: Bool) throws {
        let config = PlanFixture.small(layers: 5), pool = try ThreadPool(threadCount: 2)
        let settings = try PlanFixture.settings(
            overrides + ["data.length=16", "batch.global=8", "batch.micro=2", "alignment.data.length=16", "alignment.batch.global=8", "alignment.batch.micro=2"],
            phase: dense ? .align : .train)
        let layout = try TrainingLayout(config: config, settings: settings, dims: ParallelDims(stages: 3, replicas: 1))
        for index in 0..<3 {
            let stage = try ModelStage(
                source: SyntheticWeights(config: config, seed: 1), range: layout.range(stage: index), training: settings.training,
                capacity: layout.capacity(stage: index), pool: pool, kernels: PlanFixture.kernels)
            let memory = layout.memory(stage: index, weights: WeightBytes(), sharesFrozen: false, kernels: PlanFixture.kernels, workers: 2, process: PlanFixture.process)
            let norms = dense ? 0 : (2 * stage.range.layers.count + (stage.range.isLast ? 1 : 0)) * 32 * 4
            let rotary = 16 * 8 * 4
            #expect(memory.activations + memory.scratch + memory.parameters == stage.workingByteCount + norms + rotary)
            #expect(memory.frozen + norms == stage.frozenByteCount || memory.frozen == 0 && stage.frozenByteCount == ArenaLayout.alignmentBytes)
            #expect(memory.moments == 2 * memory.parameters && memory.parameters == stage.layout.count * 4)
        }
    }
}

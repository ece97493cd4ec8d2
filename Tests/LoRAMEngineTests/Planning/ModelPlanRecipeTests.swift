import LoRAMEngine
import TestSupport
import Testing

/// What a recipe's model and plan are counted as.
@Suite struct ModelPlanRecipeTests {
    let directory: TemporaryDirectory
    let config = SmallModel.config()
    var source: String { directory.path("source") }

    init() throws {
        directory = try TemporaryDirectory()
        try SmallModel.write(config, to: source)
    }

    func recipe(_ model: String, plan: String? = nil) -> Recipe {
        var recipe = Recipe()
        recipe.model = model
        recipe.pruning.plan = plan
        recipe.quantization.type = .none
        return recipe
    }

    /// `pruning.plan` is whatever `prune --plan` takes.
    @Test func masksAreCounted() throws {
        let path = directory.path("masks.safetensors")
        try SmallModel.writeMasks(layers: 1..<3, to: path)
        let plan = try ModelPlan(recipe(source, plan: path))
        #expect(plan.method == "unst" && plan.ratio == 0.5 && plan.trained == config)
        #expect(plan.zeroCount == 2 * SmallModel.zerosInALayer && plan.prunedParameters == config.parameterCount - plan.zeroCount)
    }

    @Test func plansAndIndexListsAreCounted() throws {
        let made = try SmallModel.plan(config), path = directory.path("plan.json")
        try FileSystem.write(made.serialized(), to: path)
        #expect(try ModelPlan(recipe(source, plan: path)).trained == made.prunedConfig(of: config))
        // Three channels of 37 in one layer.
        try FileSystem.write(#"{"gate_proj": {"2": [0, 5, 36]}}"#, to: path)
        let plan = try ModelPlan(recipe(source, plan: path))
        #expect(plan.prunedParameters == config.parameterCount - 3 * 3 * config.hiddenSize && plan.method == "stru")
    }

    /// Nothing prunes a model in 4 bit any more.
    @Test func quantizedModelsAreTakenAsTheyAre() throws {
        let quantized = directory.path("quantized")
        try Quantizer().quantize(try ModelReference.open(source), to: quantized)
        let plan = try ModelPlan(recipe(quantized))
        #expect(plan.ratio == 0 && plan.trained == plan.original && plan.storedQuantizer != nil && plan.quantizer != nil)
        #expect(plan.prunedParameters == plan.originalParameters && plan.originalParameters == config.parameterCount)
    }
}

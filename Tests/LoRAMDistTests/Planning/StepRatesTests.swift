import LoRAMDist
import LoRAMEngine
import Testing

struct StepRatesTests {
    @Test func everyActionTakesTheTimeOfItsOperationsAtItsRate() {
        let rates = StepRates(forward: 10, recompute: 20, backward: 40, head: 5)
        let layers = LayerCost(forward: 10e9, recompute: 10e9, inputGradient: 20e9, weightGradient: 4e9)
        let head = LayerCost(inputGradient: 5e9, weightGradient: 10e9)
        #expect(
            rates.seconds(layers: layers, head: head, cores: 2)
                == LayerCost(forward: 0.5, recompute: 0.25, inputGradient: 0.25 + 0.5, weightGradient: 0.05 + 1))
        #expect(StepRates(7) == StepRates(forward: 7, recompute: 7, backward: 7, head: 7))
    }

    /// What is measured follows the settings: nothing is computed again without recomputation, and every rate is one that a core can have.
    @Test(arguments: [Recomputation.full, .none], [Recipe.Phase.train, .align])
    func measuresAnyModel(recomputation: Recomputation, phase: Recipe.Phase) throws {
        var settings = TrainingSettings(recipe: Recipe(), phase: phase, tied: true)
        settings.recomputation = recomputation
        (settings.batch.micro, settings.data.length) = (2, 48)
        let config = LlamaConfig(
            hiddenSize: 64, vocabularySize: 96, headDim: 16, maxPositionCount: 48,
            layers: Array(repeating: LayerGeometry(headCount: 3, keyValueHeadCount: 1, intermediateSize: 90), count: 2), rmsNormEpsilon: 1e-5,
            rope: RoPEConfig(theta: 10_000), tiesWordEmbeddings: true, dtype: .bf16)
        let rates = try StepRates.measure(
            config: config, settings: settings, kernels: try ComputeKernels(type: .bf16), quantizes: phase == .train, threads: 1)
        for rate in [rates.forward, rates.recompute, rates.backward, rates.head] { #expect(rate > 0 && rate < 10_000) }
        #expect(recomputation == .full || rates.recompute == rates.forward)
    }
}

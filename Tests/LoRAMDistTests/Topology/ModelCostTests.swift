import LoRAMDist
import LoRAMEngine
import Testing

struct ModelCostTests {
    private static let config = LlamaConfig(
        hiddenSize: 8, vocabularySize: 32, headDim: 4, maxPositionCount: 64,
        layers: [
            LayerGeometry(headCount: 2, keyValueHeadCount: 1, intermediateSize: 16),
            LayerGeometry(headCount: 1, keyValueHeadCount: 1, intermediateSize: 6),
        ],
        rmsNormEpsilon: 1e-5, rope: RoPEConfig(theta: 10_000), tiesWordEmbeddings: false, dtype: .f32)

    /// Weights of layer 0: q 8x8, k and v 4x8, o 8x8, three of 16x8; of layer 1: q, k, v and o 4x8, three of 6x8.
    private static let weights: [Double] = [576, 272]

    @Test func denseTrainingDoesThreeProductsAWeight() {
        let cost = ModelCost(config: Self.config, training: .dense(head: false), contextLength: 0, recompute: false)
        for layer in 0..<2 {
            #expect(
                cost.layers[layer]
                    == LayerCost(
                        forward: 2 * Self.weights[layer], recompute: 0, inputGradient: 2 * Self.weights[layer],
                        weightGradient: 2 * Self.weights[layer]))
        }
        #expect(cost.head == LayerCost(forward: 512, inputGradient: 512))
        #expect(cost.embedding == LayerCost(weightGradient: 8))
        let trained = ModelCost(config: Self.config, training: .dense(head: true), contextLength: 0, recompute: false)
        #expect(trained.head.weightGradient == 512)
    }

    @Test func aFrozenBaseHasNoWeightGradients() {
        let lora = LoRAConfig(rank: 2, alpha: 4, targets: [.q, .lmHead])
        let cost = ModelCost(config: Self.config, training: .lora(lora), contextLength: 0, recompute: true)
        // q of layer 1 is 4 x 8: A and B have 2 x (4 + 8) elements.
        let thin = 2.0 * 2 * (4 + 8)
        // Computing activations again leaves out the layer's last product, down's 8 x 6.
        #expect(
            cost.layers[1]
                == LayerCost(
                    forward: 2 * Self.weights[1] + thin, recompute: 2 * (Self.weights[1] - 48) + thin,
                    inputGradient: 2 * Self.weights[1] + thin, weightGradient: thin))
        #expect(cost.head.recompute == 0)
        #expect(cost.head.weightGradient == 2 * 2 * (32 + 8))
        // Nothing below the first layer needs a gradient: its q, k and v, 16 x 8, and q's A, 2 x 8, make none.
        #expect(cost.embedding == LayerCost() && cost.unneededGradients == LayerCost(inputGradient: 2 * (16 * 8 + 2 * 8)))
    }

    @Test func recomputingLeavesOutWhatFollowsTheLastLowRankInput() {
        let lora = LoRAConfig(rank: 2, alpha: 4, targets: [.down])
        let cost = ModelCost(config: Self.config, training: .lora(lora), contextLength: 0, recompute: true).layers[1]
        // x A^T stays, of h B^T the 8 outputs go.
        #expect(cost.forward - cost.recompute == 2 * (48 + 2 * 8))
    }

    @Test func theHeadWorksInTheBackwardAction() throws {
        let cost = ModelCost(config: Self.config, training: .dense(head: true), contextLength: 0, recompute: false)
        let partition = try cost.partition(stages: 2)
        #expect(cost.head(stage: 0, of: partition) == LayerCost())
        #expect(cost.head(stage: 1, of: partition) == LayerCost(inputGradient: 1024, weightGradient: 512))
        #expect(cost.stage(1, of: partition).forward == cost.layers(stage: 1, of: partition).forward)
    }

    @Test func attentionCostsItsCausalHalf() {
        let lora = LoRAConfig(rank: 1, alpha: 1, targets: [])
        let without = ModelCost(config: Self.config, training: .lora(lora), contextLength: 0, recompute: false)
        let with = ModelCost(config: Self.config, training: .lora(lora), contextLength: 9, recompute: false)
        // 9 tokens see 45 positions, 5 each; a product over a query width of 8 is 2 x 8 operations a position.
        #expect(with.layers[0].forward - without.layers[0].forward == 2 * 2 * 8 * 5)
        #expect(with.layers[0].inputGradient - without.layers[0].inputGradient == 5 * 2 * 8 * 5)
        #expect(with.total.total == with.layers[0].total + with.layers[1].total + with.head.total - with.unneededGradients.total)
    }
}

import LoRAMEngine
import Testing

/// The recipes that come with the program load, and mean what they are called.
@Suite struct ShippedRecipesTests {
    @Test func allLoad() throws {
        let names = try ShippedRecipes.list().map(\.name)
        #expect(names.count == 9 && names.contains("demo"))
        for name in names {
            let recipe = try Recipe.load(yaml: try ShippedRecipes.text(name), name: name)
            #expect(recipe.output?.hasPrefix("runs/") == true, "\(name)")
            #expect(recipe.batch.global % recipe.batch.micro == 0 && !recipe.data.evaluation.isEmpty, "\(name)")
        }
    }

    @Test func theAuthorsSettings() throws {
        let recipe = try Recipe.load(yaml: try ShippedRecipes.text("llama-3.1-70b-qloram"))
        #expect(recipe.alignment.schedule.steps == 400 && recipe.schedule.steps == 400 && recipe.pruning.ratio == 0.85)
        #expect(recipe.quantization.type == .nf4 && recipe.lora.rank == 8 && recipe.alignment.optimizer.learningRate == 5e-5)
        #expect(try Recipe.load(yaml: try ShippedRecipes.text("lora")).pruning.ratio == 0)
    }

    @Test func unknownNamesAreRefused() {
        #expect { try ShippedRecipes.text("../demo") } throws: { "\($0)".contains("llama-2-70b-qloram") }
    }
}

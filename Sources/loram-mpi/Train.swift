import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a LoRA adapter on a whole or pruned checkpoint.",
        discussion: """
            Reads everything from a recipe; writes the run directory `output`: metrics.jsonl, checkpoints/, and the adapter in the \
            original model's shapes (adapter/) and, where the trained model was pruned, in that one's (adapter-pruned/). Trains on \
            trained_on, else on `output`/quantized, `output`/aligned, `output`/pruned or the model itself, whichever is there first.

              mpirun -np 4 loram-mpi train --recipe recipe.yaml --set parallel.stages=2 --set parallel.replicas=2
              mpirun -np 4 loram-mpi train --recipe recipe.yaml --resume=auto
            """)

    @OptionGroup var recipe: RecipeOptions
    @OptionGroup var resume: ResumeOptions

    func run() throws {
        try Job.run(recipeFile: recipe.recipe, overrides: recipe.overrides) { job in
            try TrainingRun.run(job, phase: .train, resume: resume.mode)
        }
    }
}

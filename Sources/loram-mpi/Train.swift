import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a LoRA adapter on a whole or pruned checkpoint.",
        discussion: """
            Reads everything from a recipe; writes the run directory `output`: metrics.jsonl, checkpoints/, and the adapter in the \
            trained model's shapes (adapter-pruned/) and the original model's (adapter/).

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

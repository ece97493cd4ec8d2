import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Align: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Continual pre-training of a checkpoint's full weights; also pre-training from random ones.",
        discussion: """
            Trains all weights but those of `alignment.frozen` on `alignment.data`, and writes the checkpoint `output`/aligned. \
            Starts from trained_on, else from `output`/pruned or the model itself, whichever is there first.

              mpirun -np 4 loram-mpi align --recipe recipe.yaml --set trained_on=pruned
              mpirun -np 2 loram-mpi align --set model=tiny/config.json --set synthetic_seed=1 --set alignment.frozen=[] \\
                --set 'alignment.data.train=[{path: corpus.txt}]' --set output=runs/base
            """)

    @OptionGroup var recipe: RecipeOptions
    @OptionGroup var resume: ResumeOptions

    func run() throws {
        try Job.run(recipeFile: recipe.recipe, overrides: recipe.overrides) { job in
            try TrainingRun.run(job, phase: .align, resume: resume.mode)
        }
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "All phases of a recipe: prune, align, quantize, train with recovery, evaluate.",
        discussion: """
              mpirun -np 16 loram-mpi run recipe.yaml
              loram-mpi run recipe.yaml --dry-run
              mpirun -np 16 loram-mpi run recipe.yaml --from train --set lora.rank=16

            A phase is left out where the recipe does not ask for it: a ratio of 0, no alignment.data.train, quantization.type none. What is \
            done is skipped; what was cut off goes on from its last checkpoint, on any grid; a changed key or input file makes the phases \
            that depend on it run again. phases.json in the run directory records settings, inputs and outputs by their hashes.
            """)

    @Argument(help: "Recipe file (YAML).") var recipe: String
    @Option(name: .customLong("set"), help: ArgumentHelp("Override a recipe key; may be given many times.", valueName: "key=value")) var overrides: [String] = []
    @Flag(name: .customLong("dry-run"), help: "Say what would be done, with plan's numbers, and do nothing.") var dryRun = false
    @Option(help: "This phase alone: prune, align, quantize, train or evaluate.") var only: WorkflowPhase?
    @Option(help: "This phase and those behind it.") var from: WorkflowPhase?

    func validate() throws {
        if only != nil, from != nil { throw ValidationError("--only and --from: expected one of them, found both") }
    }

    func run() throws {
        // A recipe that cannot be read is reported by the job.
        let tasks = (try? Recipe.load(file: recipe, overrides: overrides))?.evaluation.tasks ?? []
        let sandbox = dryRun ? nil : try Sandbox.start(for: tasks)
        try Job.run(recipeFile: recipe, overrides: overrides) { job in
            let workflow = try Workflow(job, .init(only: only, from: from), sandbox: sandbox)
            guard dryRun else {
                _ = try workflow.run()
                return
            }
            try job.world.onRoot {
                for line in try workflow.dryRun() { print(line) }
                print(try PlanRun(job.recipe, PlanRun.Options()))
            }
        }
    }
}

extension WorkflowPhase: ExpressibleByArgument {}

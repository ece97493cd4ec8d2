import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "What every rank of a job finds on its machine, how fast the machines reach each other, and what is badly set.",
        discussion: """
            Start it as a job is going to be started:

              mpirun --hostfile hostfiles/cluster -np 16 --map-by ppr:1:numa --bind-to numa loram-mpi doctor
              mpirun --hostfile hostfiles/cluster -np 16 loram-mpi doctor --recipe recipe.yaml

            Per rank: host, processors it may use, kernels, memory (with the control group's limit), program hash, interfaces. Between \
            machines: latency and bandwidth, each exchange with a time limit. With a recipe: whether the machines find its files and share its \
            run directory. At the end what to change, and the mpirun line for it.
            """)

    @OptionGroup var recipe: RecipeOptions
    @Option(help: "Seconds that one exchange between two machines may take.") var linkSeconds = 10.0
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        guard linkSeconds > 0, linkSeconds < 1e6 else { throw ValidationError("--link-seconds: expected a positive number, found \(linkSeconds)") }
    }

    func run() throws {
        let runtime = try MPIRuntime.start()
        let isGiven = recipe.recipe != nil || !recipe.overrides.isEmpty
        let load = { try Recipe.load(file: recipe.recipe, overrides: recipe.overrides) }
        if let report = try Doctor.run(runtime, linkSeconds: linkSeconds, recipe: isGiven ? load : nil) {
            if json { report.json.printLine() } else { print(report) }
        }
        try runtime.finish()
    }
}

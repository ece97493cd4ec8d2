import ArgumentParser

struct LoRAMMPI: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loram-mpi",
        abstract: "Distributed LoRAM training: train low-rank matrices on a pruned model, use them on the whole one.",
        discussion: """
            A run prunes a Llama checkpoint, aligns the pruned model, trains LoRA on it over pipeline stages and replicas, and \
            recovers the adapter for the original model:

              loram-mpi prune --model llama-2-13b-hf --output pruned --method rand --ratio 0.65
              mpirun -np 8 loram-mpi align --recipe recipe.yaml --set trained_on=pruned
              mpirun -np 8 loram-mpi train --recipe recipe.yaml --set trained_on=runs/x/aligned
              mpirun -np 8 loram-mpi evaluate --model llama-2-13b-hf --adapter runs/x/adapter --perplexity test.jsonl \
            --set parallel.stages=8

            Exit codes: 0 success, 64 wrong command line or recipe key, 65 bad input, 75 stopped by the watchdog, 1 any other failure.
            """,
        version: "0.1.0",
        subcommands: [
            Plan.self, Prune.self, Align.self, Quantize.self, Train.self, Recover.self, Pack.self, Unpack.self, Verify.self, Inspect.self, Diff.self,
            Evaluate.self, Generate.self, Tokenize.self, DataCommand.self, RunCommand.self, Recipes.self, Report.self, Bench.self, DoctorCommand.self,
        ])
}

import Foundation
import LoRAMEngine

/// What one process of a job keeps for all of them: the run directory of the phase at work with its metrics, log and commits, and the
/// record of `run`.
final class RunLedger {
    private let recipe: Recipe
    private let pool: ThreadPool
    private var current: (directory: RunDirectory, progress: ProgressLine)?
    private let start = ContinuousClock.now

    init(_ recipe: Recipe, pool: ThreadPool) {
        self.recipe = recipe
        self.pool = pool
    }

    /// Does what is asked.
    ///
    /// - Returns: the answer, where there is one.
    /// - Throws: `RunError`, `RecipeError`, `CheckpointStateError`, `WorkflowError`, `FileError`.
    func perform(_ request: CoordinatorRequest) throws -> String {
        switch request {
        case .open(let phase, let resume, let stepCount):
            let directory = try RunDirectory(recipe.requiredOutput(), phase: phase, recipe: recipe, resume: resume)
            current = (directory, .forStandardError(phase: phase, stepCount: stepCount))
            return "\(directory.resumed?.manifest.step ?? 0)"
        case .update(let row, let skipped):
            try directory.metrics.append(row)
            try directory.log.append(current!.progress.describe(row))
            if let text = current!.progress.update(row, now: (ContinuousClock.now - start) / .seconds(1)) { write(text) }
            if let skipped { try message("update \(row.step) skipped: \(skipped)") }
        case .evaluation(let row):
            try directory.metrics.append(row)
            let values = row.values.map { "\($0.name) \(Formatting.fixed($0.value, decimals: 4))" }.joined(separator: "  ")
            try message("\(row.phase.rawValue) \(row.step)  perplexity  \(values)")
        case .begin(let step):
            try directory.states.begin(step: step)
        case .commit(let step, let position, let records, let keep):
            // No row up to the commit may be lost.
            try directory.metrics.sync()
            try directory.states.commit(
                step: step, phase: directory.phase, position: position, fingerprint: recipe.fingerprint(of: directory.phase), records: records,
                keep: keep)
        case .decide(let phase, let options):
            return try WorkflowPlanner(recipe, options, pool: pool).decide(phase).text
        case .complete(let phase, let options):
            try WorkflowPlanner(recipe, options, pool: pool).complete(phase)
        case .end:
            break
        }
        return ""
    }

    /// Of the phase at work.
    var directory: RunDirectory {
        guard let current else { preconditionFailure("no phase has been opened") }
        return current.directory
    }

    private func message(_ text: String) throws {
        try directory.log.append(text)
        write(current!.progress.message(text))
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

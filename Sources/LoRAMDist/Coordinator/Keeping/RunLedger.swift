import Foundation
import LoRAMEngine

/// What one process of a job keeps for all of them: the run directory of the phase at work with its metrics, log and commits, and the
/// record of `run`.
final class RunLedger {
    private let recipe: Recipe
    private let pool: ThreadPool
    private var current: (directory: RunDirectory, progress: ProgressLine)?
    private let start = ContinuousClock.now
    /// From the first change on.
    private var lock: RunLock?

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
        case .open(let phase, let resume, let stepCount, let base):
            // Where a commit must be, no directory is made to look for it.
            if try resume != .required || FilePath.isDirectory(recipe.requiredOutput()) { try takeLock() }
            let directory = try RunDirectory(recipe.requiredOutput(), phase: phase, recipe: recipe, resume: resume, base: base)
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
                step: step, phase: directory.phase, position: position, fingerprint: directory.fingerprint, records: records,
                keep: keep)
        case .decide(let phase, let options):
            try takeLock()
            return try WorkflowPlanner(recipe, options, pool: pool).decide(phase).text
        case .complete(let phase, let options):
            try WorkflowPlanner(recipe, options, pool: pool).complete(phase)
        case .report:
            try directory.metrics.sync()
            do {
                try OutputFile.write(Array(ReportPage([RunRecord(directory.paths.run)]).html.utf8), to: directory.paths.report)
            } catch {
                // The results are there without it.
                try message("note: no \(directory.paths.report): \(error)")
            }
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

    private func takeLock() throws {
        if lock == nil { lock = try RunLock(recipe.requiredOutput()) }
    }

    private func message(_ text: String) throws {
        try directory.log.append(text)
        write(current!.progress.message(text))
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

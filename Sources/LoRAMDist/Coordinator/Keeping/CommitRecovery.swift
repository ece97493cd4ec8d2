import Foundation
import LoRAMEngine
import Synchronization

/// Brings the adapters of commits into the original model's shape, on a thread of its own: in a commit's directory appear `adapter-pruned/`,
/// if the base was structurally pruned, and `adapter/`. With `evaluation.full_model` the evaluation sets are scored with the original model
/// and each such adapter.
final class CommitRecovery: Sendable {
    private struct State {
        var waiting: [(step: Int, states: StateDirectory)] = []
        var isFinishing = false
        var scoring: FullModelScoring?
        var scores: [EvaluationRow] = []
        var failure: (any Error)?
    }

    private let recipe: Recipe
    private let state = Mutex(State())
    /// Held by who changes commits' directories.
    private let files = NSLock()
    private let work = DispatchSemaphore(value: 0), end = DispatchSemaphore(value: 0)

    init(_ recipe: Recipe) {
        self.recipe = recipe
        let thread = Thread { [self] in
            while let next = next() {
                do {
                    guard let adapter = try files.withLock({ try recover(next.step, next.states) }),
                        let scoring = state.withLock({ $0.scoring })
                    else { continue }
                    // Files that are open stay, even if a later commit takes the directory's place.
                    let row = EvaluationRow(step: next.step, phase: .train, values: try scoring.score(adapter: adapter))
                    state.withLock { $0.scores.append(row) }
                } catch {
                    state.withLock { $0.failure = error }
                }
            }
            end.signal()
        }
        thread.name = "recovery"
        thread.start()
    }

    /// Adapters of later commits are scored too.
    func use(_ scoring: FullModelScoring) { state.withLock { $0.scoring = scoring } }

    /// Of a commit of `train` that has its name.
    func add(step: Int, states: StateDirectory) {
        state.withLock { $0.waiting.append((step, states)) }
        work.signal()
    }

    /// Hands over what has been scored since the last call, or throws what recovery has failed with.
    func take(_ consume: (EvaluationRow) throws -> Void) throws {
        let (failure, scores) = state.withLock { state in
            defer { state.scores = [] }
            return (state.failure, state.scores)
        }
        if let failure { throw failure }
        for row in scores { try consume(row) }
    }

    /// Runs `body` while no adapter is being written: it may remove commits.
    func whileFilesRest<Result>(_ body: () throws -> Result) throws -> Result {
        files.lock()
        defer { files.unlock() }
        return try body()
    }

    /// Returns when all adapters are there and scored; `take` follows.
    func finish() {
        state.withLock { $0.isFinishing = true }
        work.signal()
        end.wait()
    }

    private func next() -> (step: Int, states: StateDirectory)? {
        while true {
            work.wait()
            let (next, isOver) = state.withLock { state in
                (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), state.isFinishing || state.failure != nil)
            }
            if next != nil || isOver { return next }
        }
    }

    /// - Returns: the adapter's directory; nil where a later commit has taken this one's place.
    private func recover(_ step: Int, _ states: StateDirectory) throws -> String? {
        let directory = states.committedPath(step: step)
        guard FilePath.exists(directory) else { return nil }
        let output = try AdapterOutput(recipe, TrainedBase(recipe, .train)), paths = RunPaths(directory)
        let reader = try StateReader(directory: directory, manifest: StateManifest(directory: directory))
        let writer = try output.makeWriter(in: paths)
        let buffer = FloatBuffer(count: output.tensors.map { $0.shape.reduce(1, *) }.max() ?? 0)
        for (name, shape) in output.tensors {
            try reader.copy(StateName.value(of: name), shape: shape, into: buffer.base)
            try writer.append(buffer.base, count: shape.reduce(1, *), to: name)
        }
        try writer.finish()
        try output.recover(in: paths)
        return paths.adapter
    }
}

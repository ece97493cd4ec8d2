import Foundation
import LoRAMEngine
import Synchronization

/// Brings the adapters of commits into the original model's shape, on a thread of its own: in a commit's directory appear `adapter-pruned/`,
/// if the base was structurally pruned, and `adapter/`.
final class CommitRecovery: Sendable {
    private struct State {
        var waiting: [(step: Int, states: StateDirectory)] = []
        var isFinishing = false
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
            while let next = take() {
                do { try files.withLock { try recover(next.step, next.states) } } catch { state.withLock { $0.failure = error } }
            }
            end.signal()
        }
        thread.name = "recovery"
        thread.start()
    }

    /// Of a commit of `train` that has its name.
    func add(step: Int, states: StateDirectory) {
        state.withLock { $0.waiting.append((step, states)) }
        work.signal()
    }

    /// Throws what recovery has failed with.
    func check() throws {
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    /// Runs `body` while no adapter is being written: it may remove commits.
    func whileFilesRest<Result>(_ body: () throws -> Result) throws -> Result {
        files.lock()
        defer { files.unlock() }
        return try body()
    }

    /// Returns when all adapters are there.
    func finish() throws {
        state.withLock { $0.isFinishing = true }
        work.signal()
        end.wait()
        try check()
    }

    private func take() -> (step: Int, states: StateDirectory)? {
        while true {
            work.wait()
            let (next, isOver) = state.withLock { state in
                (state.waiting.isEmpty ? nil : state.waiting.removeFirst(), state.isFinishing || state.failure != nil)
            }
            if next != nil || isOver { return next }
        }
    }

    private func recover(_ step: Int, _ states: StateDirectory) throws {
        let directory = states.committedPath(step: step)
        // A later commit may have taken its place by now.
        guard FilePath.exists(directory) else { return }
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
    }
}

import Glibc
import Synchronization

/// Runs Python programs that a model wrote: whatever they do harms nothing, and what does not end well has failed.
///
/// Each runs in a jail made for it (see loram_sandbox.h): no network, no other processes, no signals, files read-only but for an empty
/// directory, limits on time, memory and files. Servers that make the jails are forked by `start`, which therefore comes before MPI_Init.
public final class ProgramSandbox: Sendable {
    public enum Jail: String, Sendable, CaseIterable {
        case namespaces
        /// Where the system gives no namespaces to this user.
        case landlock
    }

    public struct Limits: Sendable, Equatable {
        /// Of the wall clock.
        public var seconds = 3.0
        /// Address space.
        public var memoryByteCount = 1 << 30
        /// Of each file.
        public var fileByteCount = 16 << 20

        public init() {}
    }

    public enum Outcome: Sendable, Equatable {
        /// It came to its end without an error.
        case passed
        /// With the last line of its error output, or why it was ended.
        case failed(String)
        case timedOut

        public var text: String {
            switch self {
            case .passed: "passed"
            case .failed(let reason): "failed: \(reason)"
            case .timedOut: "timed out"
            }
        }
    }

    public let jail: Jail
    private let workers: [SandboxWorker]

    private init(jail: Jail, workers: [SandboxWorker]) {
        self.jail = jail
        self.workers = workers
    }

    /// Forks the servers and has each run a program to see that its jail holds.
    ///
    /// - Parameters:
    ///   - workers: programs at a time.
    ///   - python: the interpreter; nil: found, see `findPython`.
    ///   - jails: tried in this order.
    /// - Throws: `SandboxError`.
    public static func start(workers: Int, python: String? = nil, jails: [Jail] = Jail.allCases) throws -> ProgramSandbox {
        guard let found = python ?? findPython(), access(found, X_OK) == 0 else { throw SandboxError.noPython(path: python) }
        var failure: SandboxError?
        for jail in jails {
            do {
                let made = try (0..<workers).map { _ in try SandboxWorker(python: found, jail: jail) }
                var limits = Limits()
                limits.seconds = 30
                for worker in made {
                    let outcome = try worker.run("import os\ntry: os.fork()\nexcept OSError: pass\nelse: raise SystemExit(1)", limits)
                    guard outcome == .passed else { throw SandboxError.noJail(reason: "\(jail.rawValue): a trial program \(outcome.text)") }
                }
                return ProgramSandbox(jail: jail, workers: made)
            } catch {
                failure = failure ?? (error as? SandboxError)
            }
        }
        throw failure ?? SandboxError.noJail(reason: "none was asked for")
    }

    /// The system's Python, or the first program of that name in PATH; shell scripts that choose among several are passed over.
    public static func findPython() -> String? {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let folders = ["/usr/bin", "/usr/local/bin"] + path.split(separator: ":").map(String.init)
        return folders.map { "\($0)/python3" }.first { candidate in
            guard access(candidate, X_OK) == 0, let start = try? MappedFile(path: candidate) else { return false }
            return start.withBytes { $0.starts(with: [0x7f, 0x45, 0x4c, 0x46]) }
        }
    }

    /// Runs all programs, as many at a time as there are workers.
    ///
    /// - Parameter moved: called by this thread several times a second while it waits.
    /// - Throws: `SandboxError`.
    public func run(_ programs: [String], limits: Limits = Limits(), moved: () -> Void = {}) throws -> [Outcome] {
        let work = SharedWork(programs)
        let threads = workers.prefix(programs.count).map { worker in
            BackgroundThread {
                while let index = work.next() {
                    let result = Result { try worker.run(programs[index], limits) }
                    work.put(index, result)
                    if case .failure = result { return }
                }
            }
        }
        for thread in threads { while !thread.wait(milliseconds: 200) { moved() } }
        return try work.results()
    }
}

/// Programs that wait for a worker, and what became of the others.
private final class SharedWork: Sendable {
    private struct State {
        var next = 0
        var outcomes: [ProgramSandbox.Outcome?]
        var error: (any Error)?
    }

    private let state: Mutex<State>

    init(_ programs: [String]) { state = Mutex(State(outcomes: Array(repeating: nil, count: programs.count))) }

    func next() -> Int? {
        state.withLock { state in
            guard state.next < state.outcomes.count, state.error == nil else { return nil }
            state.next += 1
            return state.next - 1
        }
    }

    func put(_ index: Int, _ result: Result<ProgramSandbox.Outcome, any Error>) {
        state.withLock { state in
            switch result {
            case .success(let outcome): state.outcomes[index] = outcome
            case .failure(let error): state.error = error
            }
        }
    }

    func results() throws -> [ProgramSandbox.Outcome] {
        try state.withLock { state in
            if let error = state.error { throw error }
            return state.outcomes.compactMap { $0 }
        }
    }
}

public enum SandboxError: DiagnosedError, Equatable {
    /// nil: neither in /usr/bin nor in PATH.
    case noPython(path: String?)
    /// The system lets this user make no jail that would hold.
    case noJail(reason: String)
    /// A server ended.
    case lost

    public var exitCode: ExitStatus { .failure }

    public var description: String {
        switch self {
        case .noPython(let path): "cannot run programs: expected python3 \(path.map { "at \($0)" } ?? "in /usr/bin or PATH"), found none; install it or name it with --python".singleLine
        case .noJail(let reason):
            "cannot run programs that a model wrote: expected user namespaces or Landlock to hold them, found neither (\(reason)); run on another machine".singleLine
        case .lost: "cannot run programs: expected the sandbox's server to answer, found it gone; start again"
        }
    }
}

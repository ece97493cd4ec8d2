internal import CLoRAMKernels

/// Threads of this process that share out the tasks of one kernel at a time. The caller computes too.
///
/// What a task computes must depend on its index alone, never on the worker or on the number of threads.
/// Unchecked: only the thread that made the pool may call `run`.
public final class ThreadPool: @unchecked Sendable {
    public let threadCount: Int
    /// For the C library: a `loram_pool`.
    let pool: OpaquePointer

    /// `spinning`: idle threads wait actively for a short while; off where threads outnumber processors.
    public init(threadCount: Int, spinning: Bool = true) throws {
        guard let pool = loram_pool_create(Int32(threadCount), spinning ? 4000 : 0) else {
            throw KernelError.cannotCreateThreads(threadCount)
        }
        self.pool = pool
        self.threadCount = threadCount
    }

    deinit { loram_pool_destroy(pool) }

    /// Calls `body(index, worker)` for every index below `count`, concurrently, and returns when all are done.
    public func run(_ count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
        withoutActuallyEscaping(body) { body in
            withUnsafePointer(to: body) { context in
                loram_pool_run(
                    UnsafeMutableRawPointer(pool), count,
                    { context, index, worker in
                        context!.assumingMemoryBound(to: ((Int, Int) -> Void).self).pointee(index, Int(worker))
                    }, UnsafeMutableRawPointer(mutating: context))
            }
        }
    }

    /// Rows 0 ..< rows in blocks of `blockSize`, each block a task.
    @inline(__always)
    public func runBlocks(_ rows: Int, of blockSize: Int, _ body: (_ rows: Range<Int>, _ worker: Int) -> Void) {
        run((rows + blockSize - 1) / blockSize) { index, worker in
            body(index * blockSize..<min((index + 1) * blockSize, rows), worker)
        }
    }

    /// Called on the main thread between its tasks: lets messages move on during compute. Cheap, or it slows every kernel.
    public func setPoll(_ poll: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?, context: UnsafeMutableRawPointer?) {
        loram_pool_set_poll(pool, poll, context)
    }
}

public enum KernelError: DiagnosedError {
    case cannotCreateThreads(Int)
    case unknownKernels(String, known: [String])
    case kernelsUnavailable(String, available: [String])
    case kernelsDisagree(String, error: Double, tolerance: Double)

    public var exitCode: ExitStatus {
        switch self {
        case .cannotCreateThreads, .kernelsDisagree: .failure
        case .unknownKernels, .kernelsUnavailable: .usage
        }
    }

    public var description: String {
        switch self {
        case .cannotCreateThreads(let count):
            "cannot start \(count) compute threads: check the limit on processes (ulimit -u) or set parallel.threads lower"
        case .unknownKernels(let name, let known):
            "compute.kernels: expected auto or one of \(known.joined(separator: ", ")), found \(name)"
        case .kernelsUnavailable(let name, let available):
            "compute.kernels \(name): this CPU cannot run them; it can run \(available.joined(separator: ", "))"
        case .kernelsDisagree(let name, let error, let tolerance):
            "the \(name) kernels differ from the portable ones by \(error), expected at most \(tolerance): "
                + "this CPU or its emulation is faulty; set compute.kernels to another set"
        }
    }
}

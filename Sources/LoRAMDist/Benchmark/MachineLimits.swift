import LoRAMEngine

/// What the processor could do at most, measured on all threads of a pool at once: they share power, clock and memory as they do in the
/// work that is compared.
struct MachineLimits {
    private static let seconds = 0.02
    /// Of each side of a copy, a thread: far more than the caches.
    private static let copiedByteCount = 64 << 20

    let pool: ThreadPool
    private let arena: Arena
    private let rates: UnsafeMutablePointer<Double>
    private let copies: UnsafeMutablePointer<UInt8>?

    /// - Parameter copies: whether `copying` will be asked for, which takes memory.
    init(_ pool: ThreadPool, copies: Bool) throws {
        self.pool = pool
        var layout = ArenaLayout()
        let rates = layout.reserve(pool.threadCount, of: Double.self)
        let buffers = copies ? layout.reserve(2 * pool.threadCount * Self.copiedByteCount, of: UInt8.self) : nil
        let arena = try Arena(layout)
        self.arena = arena
        self.rates = arena.pointer(rates, as: Double.self)
        self.copies = buffers.map { slice in
            let bytes = arena.pointer(slice, as: UInt8.self)
            // Pages that were never written are one page of zeros.
            pool.run(2 * pool.threadCount) { index, _ in
                (bytes + index * Self.copiedByteCount).update(repeating: 1, count: Self.copiedByteCount)
            }
            return bytes
        }
    }

    /// GFLOP/s of a register loop of multiply-adds in the kernels' compute type.
    func multiplyAdding(_ kernels: ComputeKernels) -> Double { sum { _ in kernels.measurePeak(seconds: Self.seconds) } }

    /// Elements per second decoded from NF4 in the first-level cache.
    func decoding(_ kernels: ComputeKernels) -> Double { sum { _ in kernels.measureDecoding(seconds: Self.seconds) } }

    /// Bytes per second copied by memcpy.
    func copying() -> Double {
        guard let copies else { return 0 }
        return sum { index in
            let source = copies + 2 * index * Self.copiedByteCount
            return ComputeKernels.measureCopying(
                to: source + Self.copiedByteCount, from: source, count: Self.copiedByteCount, seconds: Self.seconds)
        }
    }

    private func sum(_ measure: (Int) -> Double) -> Double {
        pool.run(pool.threadCount) { index, _ in rates[index] = measure(index) }
        return (0..<pool.threadCount).reduce(0) { $0 + rates[$1] }
    }
}

enum Measurement {
    /// Seconds of `body`, which is repeated until a clock can tell them, per call.
    static func seconds(atLeast least: Double, _ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock(), start = clock.now
        var calls = 0.0, elapsed = 0.0
        repeat {
            try body()
            calls += 1
            elapsed = (clock.now - start) / .seconds(1)
        } while elapsed < least
        return elapsed / calls
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return sorted.count % 2 == 1 ? sorted[sorted.count / 2] : (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2
    }
}

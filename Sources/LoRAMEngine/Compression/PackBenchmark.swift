import Foundation
internal import CLoRAMKernels

/// How fast frames are packed and unpacked in memory, beside copying the same bytes.
public enum PackBenchmark {
    public struct Report: Sendable, CustomStringConvertible {
        public var codec: Codec
        public var threads: Int
        public var byteCount: Int
        public var storedByteCount: Int
        /// Entropy of the planes of the frames, order 0, over the plain size; the least that coding byte by byte can reach.
        public var entropyBound: Double
        /// Plain bytes a second, in units of 10^9, of all threads; the best of some rounds.
        public var packSpeed: Double
        public var unpackSpeed: Double
        public var copySpeed: Double

        public var ratio: Double { Double(storedByteCount) / Double(max(byteCount, 1)) }

        public var json: JSONValue {
            [
                "codec": .string(codec.rawValue), "threads": .integer(threads), "bytes": .integer(byteCount), "stored_bytes": .integer(storedByteCount),
                "ratio": .double(ratio), "entropy_bound": .double(entropyBound), "pack_gb_per_second": .double(packSpeed),
                "unpack_gb_per_second": .double(unpackSpeed), "memcpy_gb_per_second": .double(copySpeed),
            ]
        }

        public var description: String {
            func speed(_ value: Double) -> String { Formatting.fixed(value, decimals: 2) + " GB/s" }
            return "\(codec.rawValue), \(threads) \(threads == 1 ? "thread" : "threads"): \(Formatting.fixed(100 * ratio, decimals: 2)) % of \(Formatting.bytes(byteCount)) "
                + "(entropy bound \(Formatting.fixed(100 * entropyBound, decimals: 2)) %), pack \(speed(packSpeed)), unpack \(speed(unpackSpeed)), memcpy \(speed(copySpeed))"
        }
    }

    /// Normally distributed weights in bf16, as trained ones are.
    public static func syntheticWeights(byteCount: Int) -> [UInt8] {
        let count = byteCount / 2
        var values = [Float](repeating: 0, count: count)
        var bytes = [UInt8](repeating: 0, count: 2 * count)
        values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            CounterRandom(seed: 1, name: "bench pack").fillNormal(base, count: count, deviation: 0.02)
        }
        bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { FloatConversion.bf16(from: values, count: count, into: base) } }
        return bytes
    }

    /// - Parameter bytes: of one tensor, whole elements.
    /// - Throws: `CompressionError`, `KernelError`.
    public static func run(_ bytes: [UInt8], dtype: DType, codec: Codec, threads: Int, rounds: Int = 5) throws -> Report {
        let pool = try ThreadPool(threadCount: threads), frameByteCount = FrameFormat.defaultByteCount
        let format = FrameFormat(codec: codec, dtype: dtype), frames = FrameFormat.frameCount(of: bytes.count, frameByteCount: frameByteCount)
        let capacity = FrameEncoder.capacity(byteCount: frameByteCount)
        let encoders = try (0..<threads).map { _ in try FrameEncoder(method: format.method, frameByteCount: frameByteCount) }
        let decoders = try (0..<threads).map { _ in try FrameDecoder(frameByteCount: frameByteCount) }
        let packed = ByteBuffer(count: frames * capacity), unpacked = ByteBuffer(count: bytes.count)
        let sizes = UnsafeMutablePointer<Int>.allocate(capacity: 8 * max(frames, 1)), stored = UnsafeMutablePointer<Int>.allocate(capacity: max(frames, 1))
        defer {
            sizes.deallocate()
            stored.deallocate()
        }
        // Pages come from the system before anything is measured.
        memset(packed.base, 0, packed.count)
        memset(unpacked.base, 0, unpacked.count)
        func range(_ frame: Int) -> Range<Int> { frame * frameByteCount..<min((frame + 1) * frameByteCount, bytes.count) }

        return try bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { throw CompressionError.cannotCompress(reason: "no bytes") }
            nonisolated(unsafe) var failed = false
            func best(_ body: (_ frame: Int, _ worker: Int) throws -> Void) -> Double {
                (0..<rounds).map { _ in
                    let start = ContinuousClock.now
                    pool.run(frames) { frame, worker in
                        do { try body(frame, worker) } catch { failed = true }
                    }
                    return Double(bytes.count) / (start.duration(to: .now) / .seconds(1)) / 1e9
                }.max() ?? 0
            }
            let copy = best { frame, _ in (unpacked.base + range(frame).lowerBound).copyMemory(from: base + range(frame).lowerBound, byteCount: range(frame).count) }
            let pack = best { frame, worker in
                stored[frame] = try encoders[worker].encode(
                    base + range(frame).lowerBound, count: range(frame).count, format: format, into: packed.base + frame * capacity, capacity: capacity,
                    sizes: sizes + 8 * frame)
            }
            memset(unpacked.base, 0, unpacked.count)
            let unpack = best { frame, worker in
                try decoders[worker].decode(
                    packed.base + frame * capacity, sizes: sizes + 8 * frame, format: format, into: unpacked.base + range(frame).lowerBound,
                    count: range(frame).count)
            }
            guard !failed, memcmp(base, unpacked.base, bytes.count) == 0 else {
                throw CompressionError.cannotCompress(reason: "other bytes after unpacking")
            }
            return Report(
                codec: codec, threads: threads, byteCount: bytes.count, storedByteCount: (0..<frames).reduce(0) { $0 + stored[$1] },
                entropyBound: entropyBound(base, bytes.count, dtype), packSpeed: pack, unpackSpeed: unpack, copySpeed: copy)
        }
    }

    /// Order-0 entropy of the planes of the whole tensor over its size.
    static func entropyBound(_ bytes: UnsafeRawPointer, _ count: Int, _ dtype: DType) -> Double {
        let width = dtype.byteCount, planeCount = count / width
        let planes = ByteBuffer(count: count)
        loram_planes_split(bytes, planeCount, Int32(width), dtype.isFloatingPoint ? 1 : 0, planes.base.assumingMemoryBound(to: UInt8.self), planeCount)
        var bits = 0.0
        for plane in 0..<width {
            var histogram = [Int](repeating: 0, count: 256)
            let start = planes.base.assumingMemoryBound(to: UInt8.self) + plane * planeCount
            for i in 0..<planeCount { histogram[Int(start[i])] += 1 }
            for n in histogram where n > 0 { bits += Double(n) * log2(Double(planeCount) / Double(n)) }
        }
        return bits / 8 / Double(max(count, 1))
    }
}

import LoRAMEngine

/// Quantizing a tensor of f32 to NF4 with double quantization, timed beside memcpy of the same bytes.
public struct QuantizeBenchmark {
    public struct Settings: Sendable {
        public var rows = 8192
        public var columns = 8192
        public var threads = [1]
        /// Each after a measurement of memcpy.
        public var repeats = 5
        public var double = true

        public init() {}

        func check() throws(BenchmarkError) {
            for (name, value) in [("rows", rows), ("columns", columns), ("repeats", repeats)] + threads.map({ ("threads", $0) }) {
                try StepBenchmark.check(name, value)
            }
            guard rows * columns <= 1 << 32 else {
                throw .badArgument(name: "rows", expected: "at most 2^32 weights", found: "\(rows) x \(columns)")
            }
        }
    }

    public struct Row: Sendable {
        public var threads: Int
        public var seconds: Double
        /// Of input, all threads together; and what memcpy copies.
        public var bytesPerSecond: Double
        public var copyBytesPerSecond: Double

        public var bytesPerSecondPerCore: Double { bytesPerSecond / Double(threads) }
        public var fractionOfLimit: Double { bytesPerSecond / copyBytesPerSecond }
    }

    public struct Report: Sendable {
        public var rows: Int, columns: Int
        public var double: Bool
        public var measurements: [Row]
    }

    /// - Throws: `BenchmarkError`; errors of memory and threads.
    public static func run(_ settings: Settings) throws -> Report {
        try settings.check()
        let count = settings.rows * settings.columns
        var layout = ArenaLayout()
        let slice = layout.reserve(count)
        let arena = try Arena(layout), values: UnsafeMutablePointer<Float> = arena.pointer(slice)
        ProductWorkload.fill(values, count: count)
        let quantizer = Quantizer(double: settings.double)
        var report = Report(rows: settings.rows, columns: settings.columns, double: settings.double, measurements: [])
        for threads in settings.threads {
            let pool = try ThreadPool(threadCount: threads, spinning: threads <= Machine.availableProcessorCount)
            let limits = try MachineLimits(pool, copies: true)
            func quantize() throws {
                _ = try quantizer.quantize(values, name: "weight", shape: [settings.rows, settings.columns], dtype: .f32, pool: pool)
            }
            try quantize()
            var seconds: [Double] = [], copying: [Double] = []
            for _ in 0..<settings.repeats {
                copying.append(limits.copying())
                seconds.append(try Measurement.seconds(atLeast: 0.05, quantize))
            }
            let time = Measurement.median(seconds)
            report.measurements.append(
                Row(threads: threads, seconds: time, bytesPerSecond: 4 * Double(count) / time, copyBytesPerSecond: Measurement.median(copying)))
        }
        return report
    }
}

extension QuantizeBenchmark.Report: CustomStringConvertible {
    public var json: JSONValue {
        .object([
            JSONMember("rows", .integer(rows)), JSONMember("columns", .integer(columns)), JSONMember("double", .bool(double)),
            JSONMember(
                "measurements",
                .array(
                    measurements.map {
                        .object([
                            JSONMember("threads", .integer($0.threads)), JSONMember("seconds", .double($0.seconds)),
                            JSONMember("bytes_per_second", .double($0.bytesPerSecond)),
                            JSONMember("bytes_per_second_per_core", .double($0.bytesPerSecondPerCore)),
                            JSONMember("memcpy_bytes_per_second", .double($0.copyBytesPerSecond)),
                            JSONMember("fraction_of_limit", .double($0.fractionOfLimit)),
                        ])
                    })),
        ])
    }

    public var description: String {
        let heading = ["threads", "ms", "GB/s of f32", "GB/s a core", "memcpy", "%"]
        let cells = measurements.map { row in
            [String(row.threads), Formatting.fixed(row.seconds * 1e3, decimals: 1)]
                + [row.bytesPerSecond, row.bytesPerSecondPerCore, row.copyBytesPerSecond].map { Formatting.fixed($0 * 1e-9, decimals: 2) }
                + [Formatting.fixed(row.fractionOfLimit * 100, decimals: 1)]
        }
        return (["NF4\(double ? " with double quantization" : ""), \(rows) x \(columns)", ""] + Formatting.table([heading] + cells, flushRight: Set(heading.indices)))
            .joined(separator: "\n")
    }
}

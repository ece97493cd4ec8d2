import LoRAMEngine

/// Products of one linear layer, timed beside what the processor could do at most.
///
/// With many tokens the limit is the speed of a register loop of multiply-adds. With few (up to 16), as in generation, a weight serves
/// so few of them that reading or decoding it may take longer; the limit, in bytes of weights a second, is then the least of memcpy's
/// bandwidth, the decoding rate (two elements a byte) and the multiply-adds' (4 M operations a byte for M tokens).
public struct GemmBenchmark {
    /// Tokens up to which the kernels stream the weight once.
    public static let fewTokens = 16

    public struct Shape: Sendable, Equatable {
        public var tokens: Int, outputs: Int, inputs: Int

        public init(tokens: Int, outputs: Int, inputs: Int) {
            (self.tokens, self.outputs, self.inputs) = (tokens, outputs, inputs)
        }

        var isFewTokens: Bool { tokens <= GemmBenchmark.fewTokens }
    }

    /// Llama 2 7B's layers; widths that pruning leaves of them; few tokens.
    public static let defaultShapes: [Shape] =
        [(4096, 4096), (11008, 4096), (4096, 11008), (4300, 4096), (10035, 4096), (4096, 1433)]
        .map { Shape(tokens: 2048, outputs: $0.0, inputs: $0.1) }
        + [1, 2, 4, 8, 16].map { Shape(tokens: $0, outputs: 11008, inputs: 4096) }

    public struct Settings: Sendable {
        public var shapes = GemmBenchmark.defaultShapes
        public var types = ComputeType.allCases.reversed() as [ComputeType]
        public var directions = ProductWorkload.Direction.allCases
        public var threads = [1]
        /// Of each row, each after a measurement of its limits.
        public var repeats = 5
        /// W in NF4 with double quantization, else in the compute type.
        public var quantizes = true
        /// A set of kernels; nil for the best.
        public var kernels: String?

        public init() {}
    }

    public struct Row: Sendable {
        public var shape: Shape
        public var direction: ProductWorkload.Direction
        public var compute: ComputeType
        public var threads: Int
        /// Medians over the repeats, of all threads together.
        public var seconds: Double
        public var gigaflopsPerSecond: Double
        public var peakGigaflopsPerSecond: Double
        /// Set with few tokens.
        public var stream: Stream?

        public var fractionOfLimit: Double { stream.map { $0.bytesPerSecond / $0.limit } ?? gigaflopsPerSecond / peakGigaflopsPerSecond }

        /// What decides with few tokens, in bytes of weights a second.
        public struct Stream: Sendable {
            public var bytesPerSecond: Double
            public var copyLimit: Double
            /// Nil for weights that need no decoding.
            public var decodingLimit: Double?
            public var multiplyingLimit: Double

            public var limit: Double { min(copyLimit, decodingLimit ?? .infinity, multiplyingLimit) }
        }
    }

    public struct Report: Sendable {
        public var kernels: String
        public var quantized: Bool
        public var rows: [Row]
    }

    /// Measures every shape in every type, direction and number of threads.
    ///
    /// - Throws: `BenchmarkError`; errors of memory and threads.
    public static func run(_ settings: Settings) throws -> Report {
        try settings.check()
        var report = Report(kernels: "", quantized: settings.quantizes, rows: [])
        for threads in settings.threads {
            let pool = try ThreadPool(threadCount: threads, spinning: threads <= Machine.availableProcessorCount)
            let limits = try MachineLimits(pool, copies: settings.shapes.contains(where: \.isFewTokens))
            for type in settings.types {
                let kernels = try ComputeKernels(type: type, name: settings.kernels)
                report.kernels = kernels.name
                for shape in settings.shapes {
                    let workload = try ProductWorkload(
                        kernels: kernels, pool: pool, rows: shape.tokens, outputs: shape.outputs, inputs: shape.inputs,
                        quantizes: settings.quantizes, copies: copies(shape))
                    // Generation has no backward.
                    for direction in settings.directions where direction == .forward || !shape.isFewTokens {
                        report.rows.append(measure(workload, shape, direction, kernels, limits, settings))
                    }
                }
            }
        }
        return report
    }

    private static func measure(
        _ workload: ProductWorkload, _ shape: Shape, _ direction: ProductWorkload.Direction, _ kernels: ComputeKernels, _ limits: MachineLimits,
        _ settings: Settings
    ) -> Row {
        let products = Double(copies(shape))
        var seconds: [Double] = [], peaks: [Double] = [], copying: [Double] = [], decoding: [Double] = []
        workload.run(direction)
        for _ in 0..<settings.repeats {
            peaks.append(limits.multiplyAdding(kernels))
            if shape.isFewTokens {
                copying.append(limits.copying())
                if settings.quantizes { decoding.append(limits.decoding(kernels)) }
            }
            seconds.append(Measurement.seconds(atLeast: 0.05) { workload.run(direction) } / products)
        }
        let time = Measurement.median(seconds), peak = Measurement.median(peaks)
        var row = Row(
            shape: shape, direction: direction, compute: kernels.type, threads: limits.pool.threadCount, seconds: time,
            gigaflopsPerSecond: workload.gigaflop / time, peakGigaflopsPerSecond: peak)
        if shape.isFewTokens {
            let bytes = Double(workload.weightByteCount), operations = workload.gigaflop * 1e9
            row.stream = .init(
                bytesPerSecond: bytes / time, copyLimit: Measurement.median(copying),
                decodingLimit: settings.quantizes ? Measurement.median(decoding) * bytes / Double(shape.outputs * shape.inputs) : nil,
                multiplyingLimit: peak * 1e9 * bytes / operations)
        }
        return row
    }

    /// Weights of few tokens come from memory, as in a model: enough of them to fill 128 MiB in NF4.
    private static func copies(_ shape: Shape) -> Int {
        shape.isFewTokens ? min(32, max(1, (256 << 20) / (shape.outputs * shape.inputs))) : 1
    }
}

extension GemmBenchmark.Settings {
    /// - Throws: `BenchmarkError` for a number that no product can have, before anything is allocated.
    func check() throws(BenchmarkError) {
        for shape in shapes {
            for (name, value) in [("tokens", shape.tokens), ("outputs", shape.outputs), ("inputs", shape.inputs)] {
                try StepBenchmark.check(name, value)
            }
            guard shape.outputs * shape.inputs <= 1 << 32 else {
                throw .badArgument(name: "outputs", expected: "at most 2^32 weights", found: "\(shape.outputs) x \(shape.inputs)")
            }
        }
        for count in threads { try StepBenchmark.check("threads", count) }
        try StepBenchmark.check("repeats", repeats)
    }
}

extension GemmBenchmark {
    /// The one shape that the command line names; nil where it names none.
    public static func shape(tokens: Int?, outputs: Int?, inputs: Int?) throws(BenchmarkError) -> Shape? {
        guard tokens != nil || outputs != nil || inputs != nil else { return nil }
        guard let outputs else { throw .badArgument(name: "outputs", expected: "the layer's outputs beside --inputs or --tokens", found: "none") }
        guard let inputs else { throw .badArgument(name: "inputs", expected: "the layer's inputs beside --outputs", found: "none") }
        return Shape(tokens: tokens ?? 2048, outputs: outputs, inputs: inputs)
    }

    public static func direction(_ name: String) throws(BenchmarkError) -> ProductWorkload.Direction {
        guard let value = ProductWorkload.Direction(rawValue: name) else {
            throw .badArgument(name: "product", expected: ProductWorkload.Direction.allCases.map(\.rawValue).joined(separator: " or "), found: name)
        }
        return value
    }
}

import LoRAMEngine

/// Generation in one process with random weights, timed beside the limits of reading the weights once a step: memcpy's bandwidth, decoding
/// NF4 (two elements a byte) and, for many sequences, the multiply-adds.
public struct GenerateBenchmark {
    public struct Settings: Sendable {
        public var config: LlamaConfig
        /// Sequences that share a reading of the weights.
        public var batch = 1
        /// Tokens of each prompt.
        public var prompt = 64
        /// Counted steps of each repeat, one token a sequence.
        public var steps = 8
        /// Each after a measurement of the limits.
        public var repeats = 5
        public var threads = 1
        public var compute = ComputeType.bf16
        /// Linear layers in NF4 with double quantization, the head in bf16; else all in the compute type.
        public var quantizes = true
        /// A set of kernels; nil for the best.
        public var kernels: String?

        public init(config: LlamaConfig) { self.config = config }
    }

    public struct Report: Sendable {
        /// Medians over the repeats, of all threads together.
        public var stepSeconds: Double
        public var promptTokensPerSecond: Double
        /// Read in a step.
        public var weightBytes: Int
        public var copyLimit: Double
        /// Nil for weights that need no decoding.
        public var decodingLimit: Double?
        public var multiplyingLimit: Double
        public var batch: Int
        public var threads: Int
        public var compute: ComputeType
        public var quantized: Bool
        public var kernels: String
        public var peakResidentMiB: Double

        public var tokensPerSecond: Double { Double(batch) / stepSeconds }
        public var bytesPerSecond: Double { Double(weightBytes) / stepSeconds }
        /// Bytes of weights a second at most.
        public var limit: Double { min(copyLimit, decodingLimit ?? .infinity, multiplyingLimit) }
        public var fractionOfLimit: Double { bytesPerSecond / limit }

        public var json: JSONValue {
            [
                "tokens_per_second": .double(tokensPerSecond), "step_seconds": .double(stepSeconds), "prompt_tokens_per_second": .double(promptTokensPerSecond),
                "weight_bytes": .integer(weightBytes), "weight_bytes_per_second": .double(bytesPerSecond), "memcpy_bytes_per_second": .double(copyLimit),
                "decoding_bytes_per_second": decodingLimit.map { .double($0) } ?? .null, "multiplying_bytes_per_second": .double(multiplyingLimit),
                "limit_bytes_per_second": .double(limit), "fraction_of_limit": .double(fractionOfLimit), "peak_rss_mib": .double(peakResidentMiB),
                "batch": .integer(batch), "threads": .integer(threads), "compute": .string(compute.rawValue), "quant": .string(quantized ? "nf4" : "none"),
                "kernels": .string(kernels),
            ]
        }
    }

    /// - Throws: `BenchmarkError`; errors of memory and threads.
    public static func run(_ settings: Settings) throws -> Report {
        try settings.check()
        let config = settings.config, batch = settings.batch
        let pool = try ThreadPool(threadCount: settings.threads, spinning: settings.threads <= Machine.availableProcessorCount)
        let kernels = try ComputeKernels(type: settings.compute, name: settings.kernels), quantizer = settings.quantizes ? Quantizer() : nil
        let stage = try ModelStage(
            source: SyntheticWeights(config: config, seed: 1), range: .whole(config), training: .none(adapter: nil),
            capacity: StageCapacity(tokens: 1, positions: 1), pool: pool, kernels: kernels, storage: WeightStorage(quantizer: quantizer))
        let generating = try GenerationStage(stage: stage, capacity: GenerationCapacity(sequences: batch, positions: settings.positions))
        let sampler = TokenSampler(Sampling(), vocabularySize: config.vocabularySize, rows: batch)
        func choose(_ rows: Range<Int>) throws -> [Int32] {
            try sampler.tokens(pool, logits: generating.logits(rows: rows), count: rows.count) { _ in (0, 0) }
        }
        let random = CounterRandom(seed: 1, name: "bench.tokens"), clock = ContinuousClock(), start = clock.now
        var rows: [GenerationStage.Row] = []
        for slot in 0..<batch {
            let prompt = (0..<settings.prompt).map { Int32(random.bits(at: UInt64(slot * settings.prompt + $0)) % UInt64(config.vocabularySize)) }
            var count = 0
            for first in stride(from: 0, to: prompt.count, by: GenerationStage.promptChunk) {
                generating.read(prompt: prompt, slot: slot, first: first)
                count = min(GenerationStage.promptChunk, prompt.count - first)
            }
            rows.append(GenerationStage.Row(slot: slot, position: prompt.count, tokenID: try choose(count - 1..<count)[0]))
        }
        let promptSeconds = (clock.now - start) / .seconds(1)
        func step() throws {
            generating.advance(rows)
            for (row, token) in try choose(0..<batch).enumerated() {
                rows[row].tokenID = token
                rows[row].position += 1
            }
        }
        let limits = try MachineLimits(pool, copies: true)
        var seconds: [Double] = [], peaks: [Double] = [], copying: [Double] = [], decoding: [Double] = []
        try step()
        for _ in 0..<settings.repeats {
            peaks.append(limits.multiplyAdding(kernels))
            copying.append(limits.copying())
            decoding.append(limits.decoding(kernels))
            let start = clock.now
            for _ in 0..<settings.steps { try step() }
            seconds.append((clock.now - start) / .seconds(1) / Double(settings.steps))
        }
        let weights = WeightBytes(quantizer: quantizer).readForToken(config)
        return Report(
            stepSeconds: Measurement.median(seconds), promptTokensPerSecond: Double(batch * settings.prompt) / promptSeconds, weightBytes: weights.bytes,
            copyLimit: Measurement.median(copying), decodingLimit: settings.quantizes ? Measurement.median(decoding) / 2 : nil,
            multiplyingLimit: Measurement.median(peaks) * 1e9 * Double(weights.bytes) / (2 * Double(weights.elements) * Double(batch)), batch: batch,
            threads: settings.threads, compute: settings.compute, quantized: settings.quantizes, kernels: kernels.name,
            peakResidentMiB: Machine.peakResidentMiB)
    }
}

extension GenerateBenchmark.Settings {
    /// Of a sequence, with the step that is not counted.
    var positions: Int { prompt + 1 + repeats * steps }

    /// - Throws: `BenchmarkError` for a number that no step can have, before anything is allocated.
    func check() throws(BenchmarkError) {
        for (name, value) in [("prompt", prompt), ("steps", steps), ("repeats", repeats), ("threads", threads)] { try StepBenchmark.check(name, value) }
        guard (1...GenerationStage.rowsTogether).contains(batch) else {
            throw .badArgument(name: "batch", expected: "1 to \(GenerationStage.rowsTogether) sequences", found: "\(batch)")
        }
        guard positions <= config.maxPositionCount else {
            throw .badArgument(name: "prompt", expected: "at most the model's \(config.maxPositionCount) positions with all steps", found: "\(positions)")
        }
    }
}

extension GenerateBenchmark.Report: CustomStringConvertible {
    public var description: String {
        func gigabytes(_ bytes: Double) -> String { Formatting.fixed(bytes * 1e-9, decimals: 2) }
        let decoding = decodingLimit.map { ", decoding \(gigabytes($0))" } ?? ""
        return """
            tokens/s          \(Formatting.fixed(tokensPerSecond, decimals: 1)) (\(batch) sequences, \(Formatting.fixed(stepSeconds * 1e3, decimals: 2)) ms a step); prompts \(Formatting.fixed(promptTokensPerSecond, decimals: 0))
            GB/s of weights   \(gigabytes(bytesPerSecond)) of \(gigabytes(limit)): \(Formatting.fixed(fractionOfLimit * 100, decimals: 1)) % (memcpy \(gigabytes(copyLimit))\(decoding), multiply-adds \(gigabytes(multiplyingLimit)))
            weights           \(Formatting.bytes(weightBytes)) a step (\(compute.rawValue)\(quantized ? " on NF4" : ""), \(threads) threads, kernels \(kernels))
            peak RSS          \(Formatting.fixed(peakResidentMiB, decimals: 0)) MiB
            """
    }
}

import LoRAMEngine

/// One training step of one process on random weights and tokens, timed beside what the processor could do at most.
public struct StepBenchmark {
    public struct Settings: Sendable {
        public var config: LlamaConfig
        public var training: Training
        public var batch = 4
        public var length = 512
        public var steps = 5
        public var threads = 1
        public var recomputation = Recomputation.none
        public var compute = ComputeType.f32
        /// Hold the linear layers in NF4 with double quantization.
        public var quantizes = false
        /// A set of kernels; nil for the best.
        public var kernels: String?

        public init(config: LlamaConfig, training: Training) {
            self.config = config
            self.training = training
        }
    }

    public struct Report: Sendable {
        /// Medians over the counted steps.
        public var stepSeconds: Double
        public var tokensPerSecond: Double
        /// Operations that the step executes, recomputation included; and per second.
        public var stepGigaflop: Double
        public var gigaflopsPerSecond: Double
        /// Register loop of fused multiply-adds, summed over the threads, measured between the steps.
        public var peakGigaflopsPerSecond: Double
        /// Seconds that the step's operations take at that peak.
        public var limitSeconds: Double
        public var fractionOfLimit: Double { limitSeconds / stepSeconds }
        public var peakResidentMiB: Double
        public var loss: Double
        public var threads: Int
        public var compute: ComputeType
        public var quantized: Bool
        public var kernels: String
        public var blasCore: String

        public var json: JSONValue {
            .object([
                JSONMember("tokens_per_second", .double(tokensPerSecond)), JSONMember("step_seconds", .double(stepSeconds)),
                JSONMember("step_gflop", .double(stepGigaflop)), JSONMember("gflops", .double(gigaflopsPerSecond)),
                JSONMember("peak_gflops", .double(peakGigaflopsPerSecond)), JSONMember("limit_seconds", .double(limitSeconds)),
                JSONMember("fraction_of_limit", .double(fractionOfLimit)), JSONMember("peak_rss_mib", .double(peakResidentMiB)),
                JSONMember("loss", .double(loss)), JSONMember("threads", .integer(threads)),
                JSONMember("compute", .string(compute.rawValue)),
                JSONMember("quant", .string(quantized ? "nf4" : "none")), JSONMember("kernels", .string(kernels)), JSONMember("blas_core", .string(blasCore)),
            ])
        }
    }

    /// Runs one uncounted and `steps` counted steps: forward, backward, AdamW.
    ///
    /// - Throws: `BenchmarkError`; errors of memory and threads.
    public static func run(_ settings: Settings) throws -> Report {
        try settings.check()
        let config = settings.config, tokens = settings.batch * settings.length
        let pool = try ThreadPool(threadCount: settings.threads, spinning: settings.threads <= Machine.availableProcessorCount)
        let kernels = try ComputeKernels(type: settings.compute, name: settings.kernels)
        let stage = try ModelStage(
            source: SyntheticWeights(config: config, seed: 1), range: .whole(config), training: settings.training,
            capacity: StageCapacity(tokens: tokens, positions: settings.length, recomputation: settings.recomputation), pool: pool,
            kernels: kernels, storage: WeightStorage(quantizer: settings.quantizes ? Quantizer() : nil),
            trainedType: settings.training.isDense && settings.compute == .bf16 ? .bf16 : .f32)
        stage.initializeLoRA(seed: 1)
        let shard = try OptimizerShard(weights: stage.trainedWeights, runs: [0..<stage.layout.count])
        try shard.loadMasters(from: SyntheticWeights(config: config, seed: 1))
        var layout = ArenaLayout()
        let slice = layout.reserve(stage.layout.count)
        let arena = try Arena(layout)
        let gradients: UnsafeMutablePointer<Float> = arena.pointer(slice)
        stage.gradients = gradients
        let batch = randomBatch(samples: settings.batch, length: settings.length, vocabulary: config.vocabularySize)
        let optimizer = AdamW()
        let limits = try MachineLimits(pool, copies: false)
        var seconds: [Double] = [], peaks: [Double] = [], loss = 0.0
        for step in 1...settings.steps + 1 {
            peaks.append(limits.multiplyAdding(kernels))
            let clock = ContinuousClock(), start = clock.now
            pool.runBlocks(stage.layout.count, of: 1 << 16) { range, _ in
                (gradients + range.lowerBound).update(repeating: 0, count: range.count)
            }
            try stage.load(batch, slot: 0)
            stage.forward(slot: 0, input: nil, output: nil)
            loss = stage.backward(slot: 0, outputGradient: nil, inputGradient: nil)
            stage.combineTiedGradients()
            shard.update(
                run: 0, optimizer, pool: pool, gradients: gradients, step: step, learningRate: 1e-3, gradientScale: 1 / Float(batch.targetCount))
            stage.trainedWeights.refreshGains()
            seconds.append((clock.now - start) / .seconds(1))
        }
        let step = Measurement.median(Array(seconds.dropFirst())), peak = Measurement.median(peaks)
        let cost = ModelCost(
            config: config, training: settings.training.isDense ? .dense(head: true) : .lora(settings.training.lora!), contextLength: settings.length,
            recompute: settings.recomputation == .full)
        let operations = cost.total.total * Double(tokens) * 1e-9
        return Report(
            stepSeconds: step, tokensPerSecond: Double(tokens) / step, stepGigaflop: operations, gigaflopsPerSecond: operations / step,
            peakGigaflopsPerSecond: peak, limitSeconds: operations / peak, peakResidentMiB: Machine.peakResidentMiB,
            loss: loss / Double(batch.targetCount), threads: settings.threads, compute: settings.compute,
            quantized: settings.quantizes, kernels: kernels.name, blasCore: BLASBackend.coreName)
    }

    /// Samples of random tokens, every one but a sample's first predicted.
    static func randomBatch(samples: Int, length: Int, vocabulary: Int) -> MicroBatch {
        let random = CounterRandom(seed: 1, name: "bench.tokens")
        let ids = (0..<samples * length).map { Int32(random.bits(at: UInt64($0)) % UInt64(vocabulary)) }
        let labels = ids.indices.map { ($0 + 1) % length == 0 ? MicroBatch.ignoredLabel : ids[$0 + 1] }
        let starts = (0..<samples).map { $0 * length }
        return MicroBatch(
            tokenIDs: ids, labels: labels, segments: starts.map { .init(start: $0, count: length) },
            samples: starts.enumerated().map { .init(start: $1, count: length, sampleID: UInt64($0)) })
    }
}

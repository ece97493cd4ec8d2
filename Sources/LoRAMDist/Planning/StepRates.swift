import LoRAMEngine

/// GFLOP/s that a core reaches in each of a schedule's actions, by their count of operations (`ModelCost`). They differ: norms, attention
/// and low-rank factors take time for few operations, and have another share in each.
public struct StepRates: Sendable, Equatable {
    public var forward: Double
    public var recompute: Double
    /// Gradients of inputs and of weights.
    public var backward: Double
    /// The output head's loss and gradients.
    public var head: Double

    public init(forward: Double, recompute: Double, backward: Double, head: Double) {
        self.forward = forward
        self.recompute = recompute
        self.backward = backward
        self.head = head
    }

    /// The same for all.
    public init(_ rate: Double) { self.init(forward: rate, recompute: rate, backward: rate, head: rate) }

    /// Seconds of each action on `cores` cores, for operations of a stage's layers and of its head.
    public func seconds(layers: LayerCost, head: LayerCost, cores: Int) -> LayerCost {
        func time(_ layers: Double, _ rate: Double, _ head: Double = 0) -> Double { (layers / rate + head / self.head) / (1e9 * Double(cores)) }
        return LayerCost(
            forward: time(layers.forward, forward, head.forward), recompute: time(layers.recompute, recompute),
            inputGradient: time(layers.inputGradient, backward, head.inputGradient),
            weightGradient: time(layers.weightGradient, backward, head.weightGradient))
    }
}

// MARK: - Measured

extension StepRates {
    /// Sizes of what is measured at most: at these widths a core takes some tenths of a second.
    private static let widest = 1024, mostTokens = 512, largestVocabulary = 8192
    /// At least so often, and as long as this takes: a machine is never quite quiet.
    private static let repeats = 3, seconds = 1.0

    /// Times one layer and the head on random weights on all threads of this process: the middle layer of the model and the settings'
    /// micro-batch where these are small, else a likeness of them. Takes about a second and 200 MiB.
    ///
    /// - Throws: errors of memory and threads.
    public static func measure(
        config: LlamaConfig, settings: TrainingSettings, kernels: ComputeKernels, quantizes: Bool, threads: Int
    ) throws -> StepRates {
        let probe = try Probe(config: config, settings: settings, kernels: kernels, quantizes: quantizes, threads: threads)
        return try probe.rates()
    }

    private struct Probe {
        let config: LlamaConfig
        let settings: TrainingSettings
        let kernels: ComputeKernels
        let quantizes: Bool
        let pool: ThreadPool

        init(config: LlamaConfig, settings: TrainingSettings, kernels: ComputeKernels, quantizes: Bool, threads: Int) throws {
            let layer = config.layers[config.layerCount / 2], width = min(config.hiddenSize, StepRates.widest)
            func narrowed(_ size: Int) -> Int { max(1, size * width / config.hiddenSize) }
            let keyValueHeads = narrowed(layer.keyValueHeadCount)
            self.config = LlamaConfig(
                hiddenSize: width, vocabularySize: min(config.vocabularySize, StepRates.largestVocabulary), headDim: config.headDim,
                maxPositionCount: config.maxPositionCount,
                layers: [
                    LayerGeometry(
                        headCount: layer.headCount / layer.keyValueHeadCount * keyValueHeads, keyValueHeadCount: keyValueHeads,
                        intermediateSize: narrowed(layer.intermediateSize))
                ],
                rmsNormEpsilon: config.rmsNormEpsilon, rope: config.rope, tiesWordEmbeddings: false, dtype: config.dtype)
            var settings = settings
            settings.data.length = min(settings.data.length, StepRates.mostTokens)
            settings.batch.micro = max(1, min(settings.batch.micro, StepRates.mostTokens / settings.data.length))
            self.settings = settings
            self.kernels = kernels
            self.quantizes = quantizes
            pool = try ThreadPool(threadCount: threads, spinning: threads <= Machine.availableProcessorCount)
        }

        func rates() throws -> StepRates {
            let cost = TrainingLayout.cost(config, settings), partition = try cost.partition(stages: 1)
            let layer = cost.layers[0], head = cost.head(stage: 0, of: partition)
            let layerActions = try Actions(self, StageRange(layers: 0..<1, isFirst: false, isLast: false))
            let headActions = try Actions(self, StageRange(layers: 1..<1, isFirst: false, isLast: true))
            var layers: [LayerCost] = [], heads: [LayerCost] = []
            let clock = ContinuousClock(), start = clock.now
            // In turn, so that both meet the machine in the same moods; the first round warms up.
            while layers.count <= StepRates.repeats || (clock.now - start) / .seconds(1) < StepRates.seconds {
                layers.append(layerActions.seconds())
                heads.append(headActions.seconds())
            }
            func rate(_ operations: Double, _ times: [LayerCost], _ action: (LayerCost) -> Double) -> Double {
                let seconds = Measurement.median(times.dropFirst().map(action))
                return operations * Double(settings.microBatchTokens) * 1e-9 / (seconds * Double(pool.threadCount))
            }
            let forward = rate(layer.forward, layers, \.forward)
            return StepRates(
                forward: forward, recompute: layer.recompute > 0 ? rate(layer.recompute, layers, \.recompute) : forward,
                backward: rate(layer.backward, layers, \.inputGradient), head: rate(head.total, heads, \.inputGradient))
        }
    }

    /// A stage of the probe and what goes through it.
    private struct Actions {
        private let stage: ModelStage
        private let arena: Arena
        private let activation, gradient: UnsafeMutablePointer<Float>

        init(_ probe: Probe, _ range: StageRange) throws {
            let config = probe.config, settings = probe.settings, count = settings.microBatchTokens * config.hiddenSize
            stage = try ModelStage(
                source: SyntheticWeights(config: config, seed: 1), range: range, training: settings.training,
                capacity: StageCapacity(
                    tokens: settings.microBatchTokens, positions: settings.data.length, recomputation: settings.recomputation,
                    recomputesAhead: settings.recomputation == .full),
                pool: probe.pool, kernels: probe.kernels, storage: WeightStorage(quantizer: probe.quantizes ? Quantizer() : nil),
                trainedType: settings.trainedType(probe.kernels))
            stage.initializeLoRA(seed: 1)
            var layout = ArenaLayout()
            let slices = [count, count, stage.layout.count].map { layout.reserve($0) }
            arena = try Arena(layout)
            (activation, gradient) = (arena.pointer(slices[0]), arena.pointer(slices[1]))
            stage.gradients = arena.pointer(slices[2])
            let random = CounterRandom(seed: 1, name: "plan.activations")
            for index in 0..<count { activation[index] = Float(random.bits(at: UInt64(index)) >> 40) * 0x1p-23 - 1 }
            try stage.load(
                StepBenchmark.randomBatch(samples: settings.batch.micro, length: settings.data.length, vocabulary: config.vocabularySize), slot: 0)
        }

        /// Of each action, all of backward as the input gradient's.
        func seconds() -> LayerCost {
            func time(_ body: () -> Void) -> Double {
                let clock = ContinuousClock(), start = clock.now
                body()
                return (clock.now - start) / .seconds(1)
            }
            let isLast = stage.range.isLast
            return LayerCost(
                forward: time { stage.forward(slot: 0, input: activation, output: isLast ? nil : gradient) },
                recompute: time { if stage.capacity.recomputation == .full { stage.recompute(slot: 0) } },
                inputGradient: time { stage.backward(slot: 0, outputGradient: isLast ? nil : UnsafePointer(gradient), inputGradient: gradient) })
        }
    }
}

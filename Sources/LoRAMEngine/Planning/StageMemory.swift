/// Memory of one rank that trains (or evaluates) a stage, counted from shapes: the buffers that `ModelStage` and the trainer allocate.
public struct StageMemory: Sendable, Equatable {
    /// Matrices that are not trained, as stored, and masks.
    public var frozen: Int
    /// Whether the ranks of a node that hold the stage have them once: mapped files in the page cache, or shared memory.
    public var sharesFrozen: Bool
    /// Trained values: LoRA factors in f32, or the weights themselves.
    public var parameters: Int
    /// AdamW's two moments, and f32 masters where the weights are bf16.
    public var moments: Int
    /// Gradient groups and what a reduction receives.
    public var gradients: Int
    /// What a micro-batch leaves between its forward and backward pass, for all that are under way at once.
    public var activations: Int
    /// Scratch of kernels, logits, the gradient that travels down the stage.
    public var scratch: Int
    /// Buffers of the messages between stages.
    public var messages: Int
    /// The rank's process beside its stage.
    public var process: ProcessMemory

    /// Resident set at its peak: mapped files included.
    public var total: Int { frozen + own + process.texts }
    /// Without frozen weights and what the system can take back.
    public var own: Int { parameters + moments + gradients + activations + scratch + messages + process.own }
}

extension StageMemory {
    /// Of a rank that holds another part of the model too.
    public func adding(_ other: StageMemory) -> StageMemory {
        var sum = self
        sum.frozen += other.frozen
        sum.parameters += other.parameters
        sum.moments += other.moments
        sum.gradients += other.gradients
        sum.activations += other.activations
        sum.scratch += other.scratch
        return sum
    }

    /// What `ModelStage` alone allocates, with AdamW's moments if it trains; gradients and messages are the trainer's.
    ///
    /// - Parameters:
    ///   - kernels: whose workspace is counted.
    ///   - workers: compute threads.
    ///   - usesMasks: the stage gets the masks of a non-structurally pruned model, mapped.
    ///   - trainedType: see `ModelStage.init`.
    ///   - generation: what a `GenerationStage` on it allocates, as scratch.
    public init(
        config: LlamaConfig, range: StageRange, training: Training, capacity: StageCapacity, weights: WeightBytes, sharesFrozen: Bool,
        kernels: ComputeKernels, workers: Int, process: ProcessMemory, usesMasks: Bool = false, trainedType: DType = .f32,
        generation: GenerationCapacity? = nil
    ) {
        let buffers = StageBuffers(
            config: config, range: range, training: training, capacity: capacity, kernels: kernels, workers: workers,
            hasMaskedProducts: usesMasks && training.lora != nil)
        let layout = ParameterLayout(ModelStage.trainedTensors(config: config, range: range, training: training))
        var names: Set<String> = []
        var matrices = 0, norms = 0
        for (name, shape) in StageWeights.weights(of: range, config) where !StageWeights.isTrained(name, training, config) {
            // The two ends of a tied pair are one tensor.
            let stored = config.tiesWordEmbeddings && name == WeightName.lmHead ? WeightName.embedding : name
            guard names.insert(stored).inserted else { continue }
            if shape.count == 1 { norms += shape[0] * 4 } else { matrices += weights.stored(name, shape, config) }
        }
        let rotary = capacity.positions * config.headDim * 4
        frozen = matrices + (usesMasks ? Self.maskByteCount(config, range) : 0)
        self.sharesFrozen = sharesFrozen
        parameters = TrainedWeights.byteCount(layout, trainedType)
        moments = training.isTraining ? OptimizerShard.byteCount(elements: layout.count, weights: trainedType) : 0
        gradients = 0
        activations = buffers.activationByteCount
        let generating = generation.map { capacity in
            GenerationBuffers(config: config, range: range, training: training, capacity: capacity, kernels: kernels, workers: workers).arena.byteCount
                + capacity.positions * config.headDim * 4
        }
        scratch = buffers.arena.byteCount - buffers.activationByteCount + norms + rotary + (generating ?? 0)
        messages = 0
        self.process = process
    }

    private static func maskByteCount(_ config: LlamaConfig, _ range: StageRange) -> Int {
        range.layers.reduce(0) { total, layer in
            LinearSite.inLayer.reduce(total) {
                let shape = $1.shape(in: config, layer: layer)
                return $0 + shape.out * MaskBits.stride(shape.in)
            }
        }
    }

    /// Floats of a stage's gradient, gaps included.
    public static func gradientCount(config: LlamaConfig, range: StageRange, training: Training) -> Int {
        ParameterLayout(ModelStage.trainedTensors(config: config, range: range, training: training)).count
    }
}

/// Memory of one rank that trains (or evaluates) a stage, counted from shapes: the buffers that `ModelStage` and the trainer allocate.
public struct StageMemory: Sendable, Equatable {
    /// Matrices that are not trained, as stored.
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
    /// The program, its libraries and MPI before anything is loaded, and pieces of weights while they are.
    public var process: Int

    /// Measured: program, libraries and the pieces in which weights and data are read take 31 MiB alone and 37 to 45 under mpirun.
    public static let processBytes = 44 << 20

    public var total: Int { frozen + own }
    /// Without frozen weights.
    public var own: Int { parameters + moments + gradients + activations + scratch + messages + process }
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
    ///   - trainedType: see `ModelStage.init`.
    ///   - generation: what a `GenerationStage` on it allocates, as scratch.
    public init(
        config: LlamaConfig, range: StageRange, training: Training, capacity: StageCapacity, weights: WeightBytes, sharesFrozen: Bool,
        kernels: ComputeKernels, workers: Int, trainedType: DType = .f32, generation: GenerationCapacity? = nil
    ) {
        let buffers = StageBuffers(config: config, range: range, training: training, capacity: capacity, kernels: kernels, workers: workers)
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
        frozen = matrices
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
        process = Self.processBytes
    }

    /// Floats of a stage's gradient, gaps included.
    public static func gradientCount(config: LlamaConfig, range: StageRange, training: Training) -> Int {
        ParameterLayout(ModelStage.trainedTensors(config: config, range: range, training: training)).count
    }
}

/// AdamW's state for some runs of a stage's trained tensors: moments, and f32 masters where the stage holds its weights in bf16. f32
/// weights are their own masters.
public final class OptimizerShard {
    /// What is kept for each element.
    public enum Quantity: Sendable, CaseIterable {
        case value, firstMoment, secondMoment
    }

    public let weights: TrainedWeights
    /// Ranges of the layout, in any order, without overlap; some may be empty.
    public let runs: [Range<Int>]
    private let arena: Arena
    /// Of each run in the state's buffers.
    private let starts: [Int]
    private let masters: UnsafeMutablePointer<Float>?
    private let firstMoments, secondMoments: UnsafeMutablePointer<Float>

    public init(weights: TrainedWeights, runs: [Range<Int>]) throws {
        self.weights = weights
        self.runs = runs
        var starts: [Int] = [], count = 0
        for run in runs {
            starts.append(count)
            count += run.count
        }
        self.starts = starts
        var memory = ArenaLayout()
        let slices = (0..<Self.floatsPerElement(weights.dtype)).map { _ in memory.reserve(count) }
        arena = try Arena(memory)
        firstMoments = arena.pointer(slices[0])
        secondMoments = arena.pointer(slices[1])
        masters = slices.count > 2 ? arena.pointer(slices[2]) : nil
    }

    private static func floatsPerElement(_ weights: DType) -> Int { weights == .f32 ? 2 : 3 }

    /// Bytes that the state of so many elements takes, where the weights are of the type.
    public static func byteCount(elements: Int, weights: DType) -> Int { 4 * floatsPerElement(weights) * elements }

    /// The values of a run, f32.
    public func values(_ quantity: Quantity, run: Int) -> UnsafeMutablePointer<Float> {
        switch quantity {
        case .value: masters.map { $0 + starts[run] } ?? weights.floats + runs[run].lowerBound
        case .firstMoment: firstMoments + starts[run]
        case .secondMoment: secondMoments + starts[run]
        }
    }

    /// Takes the masters from the checkpoint that training starts from.
    ///
    /// - Throws: as `TensorSource.copyFloats`.
    public func loadMasters(from source: any TensorSource) throws {
        guard masters != nil else { return }
        for tensor in weights.layout.tensors {
            for (index, run) in runs.enumerated() {
                let part = run.clamped(to: tensor.offset..<tensor.offset + tensor.count)
                guard !part.isEmpty else { continue }
                let target = values(.value, run: index) + (part.lowerBound - run.lowerBound)
                let elements = part.lowerBound - tensor.offset..<part.upperBound - tensor.offset
                try source.readFloats(tensor.tiedTo ?? tensor.name, shape: tensor.shape, elements: elements) {
                    (target + ($1.lowerBound - elements.lowerBound)).update(from: $0, count: $1.count)
                }
            }
        }
    }

    /// Updates one run and puts its weights into the stage; see `AdamW.update`. `gradients`: laid out as the layout.
    public func update(
        run: Int, _ optimizer: AdamW, pool: ThreadPool, gradients: UnsafePointer<Float>, step: Int, learningRate: Double, gradientScale: Float
    ) {
        let range = runs[run]
        optimizer.update(
            pool, parameters: values(.value, run: run), firstMoments: values(.firstMoment, run: run), secondMoments: values(.secondMoment, run: run),
            gradients: gradients + range.lowerBound, count: range.count, step: step, learningRate: learningRate, gradientScale: gradientScale)
        publish(run: run, pool: pool)
    }

    /// Puts a run's masters into the stage's weights.
    public func publish(run: Int, pool: ThreadPool) {
        if masters != nil { weights.store(values(.value, run: run), at: runs[run], pool: pool) }
    }
}

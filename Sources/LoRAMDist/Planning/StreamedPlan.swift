import LoRAMEngine

/// Scoring with the whole model layer by layer (`evaluate --stream`) on one rank: memory and time, foretold without weights.
public struct StreamedPlan: Sendable {
    public let tokens: Int
    public let memory: StreamedMemory
    /// Of the model's files, each read once.
    public let readByteCount: Int
    /// Of activations that go to a file, written and read behind each layer; 0 where they fit.
    public let spilledByteCount: Int
    public let flops: Double
    /// Operations a second of the rank.
    public let rate: Double
    /// Bytes a second from the disk.
    public let disk: Double
    public let diskOrigin: PlanSpeed.Origin
    public let readSeconds: Double
    public let computeSeconds: Double
    /// A layer is read while the one before computes.
    public let seconds: Double

    /// 1 GB/s.
    public static let assumedDisk = 1e9

    /// - Parameters:
    ///   - capacity: of a micro-batch.
    ///   - memoryByteCount: that the rank may use.
    ///   - disk: bytes a second; nil: assumed.
    /// - Throws: `EvaluationError.exceedsMemory`.
    public init(
        config: LlamaConfig, lora: LoRAConfig, weights: WeightBytes, capacity: StageCapacity, tokens: Int, kernels: ComputeKernels, workers: Int,
        memoryByteCount: Int, rate: Double, disk: Double?
    ) throws {
        self.tokens = tokens
        self.rate = rate
        let bandwidth = disk ?? Self.assumedDisk
        self.disk = bandwidth
        diskOrigin = disk == nil ? .assumed : .given
        memory = StreamedMemory(
            config: config, adapter: lora, capacity: capacity, weights: weights, kernels: kernels, workers: workers, tokens: tokens)
        let spilled = memory.activations - (try memory.keptActivations(limit: memoryByteCount))
        spilledByteCount = spilled
        let cost = ModelCost(config: config, training: .lora(lora), contextLength: capacity.positions, recompute: false)
        let operations = [0] + (cost.layers + [cost.head]).map { $0.forward * Double(tokens) }
        flops = operations.reduce(0, +)
        readByteCount = memory.parts.reduce(0, +)
        readSeconds = Double(readByteCount) / bandwidth
        // Activations move between the computations, not beside them.
        let computing = operations.map { $0 / rate + 2 * Double(spilled) / bandwidth }
        computeSeconds = computing.reduce(0, +)
        let reading = memory.parts.map { Double($0) / bandwidth } + [0]
        seconds = reading[0] + zip(computing, reading.dropFirst()).reduce(0) { $0 + max($1.0, $1.1) }
    }

    var json: JSONValue {
        [
            "tokens": .integer(tokens), "read_bytes": .integer(readByteCount), "memory_bytes": .integer(memory.total - spilledByteCount),
            "activation_bytes": .integer(memory.activations), "spilled_bytes": .integer(spilledByteCount), "flops": .double(flops),
            "gflops": .double(rate / 1e9), "disk_bytes_per_second": .double(disk), "disk_origin": .string(diskOrigin.rawValue),
            "read_seconds": .double(readSeconds), "compute_seconds": .double(computeSeconds), "seconds": .double(seconds),
        ]
    }

    var text: String {
        let spill = spilledByteCount == 0 ? "" : ", \(Formatting.bytes(spilledByteCount)) of activations in a file"
        return "\(Formatting.count(Double(tokens)))tokens layer by layer in \(Formatting.seconds(seconds)): reads \(Formatting.bytes(readByteCount)) in "
            + "\(Formatting.seconds(readSeconds)) at \(Formatting.fixed(disk / 1e9, decimals: 2)) GB/s (\(diskOrigin.rawValue)), computes "
            + "\(Formatting.count(flops))FLOP in \(Formatting.seconds(computeSeconds)); \(Formatting.bytes(memory.total - spilledByteCount)) of memory\(spill)"
    }
}

import LoRAMEngine

/// What a prediction of time rests on.
public struct PlanSpeed: Sendable, Equatable {
    /// Where a figure comes from.
    public enum Origin: String, Sendable { case given, measured, assumed }

    /// GFLOP/s that a core reaches in training steps: the step's operations over its time.
    public var gigaflopsPerCore: Double
    public var gigaflopsOrigin: Origin
    /// Compute threads of a rank.
    public var coresPerRank: Int
    public var ranksPerNode: Int
    /// Bytes a second between nodes, in each direction; the ranks of a node share it.
    public var bandwidth: Double
    public var bandwidthOrigin: Origin

    /// 10 Gbit/s.
    public static let assumedBandwidth = 1.25e9
    /// Bytes a second through shared memory: a copy in and a copy out.
    public static let localBandwidth = 5e9

    public init(
        gigaflopsPerCore: Double, gigaflopsOrigin: Origin = .given, coresPerRank: Int, ranksPerNode: Int = 1,
        bandwidth: Double = assumedBandwidth, bandwidthOrigin: Origin = .assumed
    ) {
        self.gigaflopsPerCore = gigaflopsPerCore
        self.gigaflopsOrigin = gigaflopsOrigin
        self.coresPerRank = coresPerRank
        self.ranksPerNode = ranksPerNode
        self.bandwidth = bandwidth
        self.bandwidthOrigin = bandwidthOrigin
    }

    /// Operations a second of a rank.
    public var rankRate: Double { gigaflopsPerCore * 1e9 * Double(coresPerRank) }

    /// Seconds of a message between two ranks, when all ranks of a node send at once.
    public func seconds(bytes: Double, from: Int, to: Int) -> Double {
        from / ranksPerNode == to / ranksPerNode ? bytes / Self.localBandwidth : bytes * Double(ranksPerNode) / bandwidth
    }

    /// What a core reaches here, in steps of a small model with the same number types and recomputation: about a second and 150 MiB.
    public static func measureGigaflopsPerCore(
        compute: ComputeType, recomputation: Recomputation, quantizes: Bool, threads: Int
    ) throws -> Double {
        var settings = StepBenchmark.Settings(
            config: try StepBenchmark.config(hidden: 1024, inter: 2816, layers: 2, heads: 16, keyValueHeads: 16, vocabulary: 2048, positions: 512),
            training: .lora(LoRAConfig(rank: 8, alpha: 16, targets: LinearSite.inLayer)))
        (settings.batch, settings.length, settings.steps, settings.threads) = (1, 512, 3, threads)
        (settings.compute, settings.recomputation, settings.quantizes) = (compute, recomputation, quantizes)
        return try StepBenchmark.run(settings).gigaflopsPerSecond / Double(threads)
    }
}

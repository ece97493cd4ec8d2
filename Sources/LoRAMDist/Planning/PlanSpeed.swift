import LoRAMEngine

/// What a prediction of time rests on.
public struct PlanSpeed: Sendable, Equatable {
    /// Where a figure comes from.
    public enum Origin: String, Sendable { case given, measured, assumed }

    /// What a core reaches.
    public var rates: StepRates
    public var ratesOrigin: Origin
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
        rates: StepRates, ratesOrigin: Origin = .given, coresPerRank: Int, ranksPerNode: Int = 1,
        bandwidth: Double = assumedBandwidth, bandwidthOrigin: Origin = .assumed
    ) {
        self.rates = rates
        self.ratesOrigin = ratesOrigin
        self.coresPerRank = coresPerRank
        self.ranksPerNode = ranksPerNode
        self.bandwidth = bandwidth
        self.bandwidthOrigin = bandwidthOrigin
    }

    /// Seconds of a message between two ranks, when all ranks of a node send at once.
    public func seconds(bytes: Double, from: Int, to: Int) -> Double {
        from / ranksPerNode == to / ranksPerNode ? bytes / Self.localBandwidth : bytes * Double(ranksPerNode) / bandwidth
    }
}

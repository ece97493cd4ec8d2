import LoRAMEngine

/// One line of metrics.jsonl: what an update did and what it took.
public struct MetricsRow: Codable, Sendable, Equatable {
    /// The update, counted from 1.
    public var step: Int
    public var phase: Recipe.Phase
    /// Mean over the global batch's target tokens; nil where the update had none.
    public var loss: Double?
    public var learningRate: Double
    /// Global norm before clipping; nil where no update was made.
    public var gradientNorm: Double?
    /// Tokens of this update, over all replicas.
    public var tokenCount: Int
    public var tokensPerSecond: Double
    public var stepSeconds: Double
    /// Time in which the longest-waiting rank had nothing to compute.
    public var waitSeconds: Double
    /// The rank on which others waited.
    public var slowestRank: Int
    /// Pages read from disk during the update, over all ranks.
    public var majorPageFaultCount: Int
    /// Of the rank with the largest.
    public var peakResidentMiB: Double
    /// Share of the ranks' time in which they had nothing to compute: waiting for a neighbour's message, for replicas, for the last to be done.
    public var bubble: Double

    public init(
        step: Int, phase: Recipe.Phase, loss: Double?, learningRate: Double, gradientNorm: Double?, tokenCount: Int, tokensPerSecond: Double,
        stepSeconds: Double, waitSeconds: Double, slowestRank: Int, majorPageFaultCount: Int, peakResidentMiB: Double,
        bubble: Double = 0
    ) {
        self.step = step
        self.phase = phase
        self.loss = loss
        self.learningRate = learningRate
        self.gradientNorm = gradientNorm
        self.tokenCount = tokenCount
        self.tokensPerSecond = tokensPerSecond
        self.stepSeconds = stepSeconds
        self.waitSeconds = waitSeconds
        self.slowestRank = slowestRank
        self.majorPageFaultCount = majorPageFaultCount
        self.peakResidentMiB = peakResidentMiB
        self.bubble = bubble
    }

    /// Doubles are written so that they read back as the same bits; a missing or non-finite one is null.
    var json: JSONValue {
        [
            "step": .integer(step),
            "phase": .string(phase.rawValue),
            "loss": loss.map { .double($0) } ?? .null,
            "learning_rate": .double(learningRate),
            "grad_norm": gradientNorm.map { .double($0) } ?? .null,
            "tokens": .integer(tokenCount),
            "tokens_per_second": .double(tokensPerSecond),
            "step_seconds": .double(stepSeconds),
            "wait_seconds": .double(waitSeconds),
            "slowest_rank": .integer(slowestRank),
            "major_page_faults": .integer(majorPageFaultCount),
            "peak_rss_mib": .double(peakResidentMiB),
            "bubble": .double(bubble),
        ]
    }
}

/// Results of an evaluation after an update.
public struct EvaluationRow: Sendable, Equatable {
    public var step: Int
    public var phase: Recipe.Phase
    /// By the evaluation set's name; written as `eval/NAME`.
    public var values: [(name: String, value: Double)]

    public init(step: Int, phase: Recipe.Phase, values: [(name: String, value: Double)]) {
        self.step = step
        self.phase = phase
        self.values = values
    }

    public static func == (a: EvaluationRow, b: EvaluationRow) -> Bool { a.json == b.json }

    var json: JSONValue {
        let head = [JSONMember("step", .integer(step)), JSONMember("phase", .string(phase.rawValue))]
        return .object(head + values.map { JSONMember("eval/\($0.name)", .double($0.value)) })
    }
}

extension EvaluationRow: Codable {
    private struct Columns: Codable {
        var step: Int
        var phase: Recipe.Phase
        var names: [String]
        var values: [Double]
    }

    public init(from decoder: any Decoder) throws {
        let columns = try Columns(from: decoder)
        self.init(step: columns.step, phase: columns.phase, values: zip(columns.names, columns.values).map { ($0, $1) })
    }

    public func encode(to encoder: any Encoder) throws {
        try Columns(step: step, phase: phase, names: values.map(\.name), values: values.map(\.value)).encode(to: encoder)
    }
}

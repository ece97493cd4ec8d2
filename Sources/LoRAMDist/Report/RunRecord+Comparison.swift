import LoRAMEngine

extension RunRecord {
    /// A figure that a plan foretells and a run measures.
    public struct Pair: Sendable, Equatable {
        public let foretold: Double
        public let measured: Double

        var json: JSONValue { ["foretold": .double(foretold), "measured": .double(measured)] }
    }

    /// What the plan of a phase foretold, beside its metrics.
    public struct Comparison: Sendable, Equatable {
        /// Share of the ranks' time in which they do not compute; measured: the median of the updates behind the first, which warms up.
        public let bubble: Pair?
        /// Bytes of the largest rank: resident set at its peak, pages of mapped files included.
        public let peakRankBytes: Pair?
    }

    /// nil where there is no plan (see `plan`).
    public func comparison(_ phase: Recipe.Phase) -> Comparison? {
        guard let plan = plan(phase) else { return nil }
        let bubbles = series(phase, "bubble")?.points.map(\.value) ?? []
        let settled = bubbles.count > 1 ? Array(bubbles.dropFirst()) : bubbles
        let peak = series(phase, "peak_rss_mib")?.points.map(\.value).max()
        return Comparison(
            bubble: settled.isEmpty ? nil : Pair(foretold: plan.bubble, measured: Measurement.median(settled)),
            peakRankBytes: peak.map { Pair(foretold: Double(plan.stages.map(\.memory.total).max() ?? 0), measured: $0 * Double(1 << 20)) })
    }
}

extension ReportPage {
    /// Foretold and measured figures of every run and phase that has a plan.
    public var json: JSONValue {
        .array(
            runs.flatMap { run -> [JSONValue] in
                Recipe.Phase.allCases.filter { run.series[$0] != nil }.map { phase -> JSONValue in
                    let comparison = run.comparison(phase)
                    return [
                        "run": .string(run.name), "phase": .string(phase.rawValue), "bubble": comparison?.bubble?.json ?? .null,
                        "peak_rank_bytes": comparison?.peakRankBytes?.json ?? .null,
                    ]
                }
            })
    }
}

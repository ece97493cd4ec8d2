import Foundation
import LoRAMEngine

/// Round numbers along an axis: multiples of 1, 2 or 5 times a power of ten.
struct ChartAxis {
    let low: Double
    let high: Double
    let ticks: [Double]

    /// - Parameters:
    ///   - widened: the axis ends at ticks; otherwise at the values.
    ///   - smallestStep: between ticks.
    init(_ values: [Double], widened: Bool = true, parts: Double = 4, smallestStep: Double = 0) {
        let least = values.min() ?? 0, most = max(values.max() ?? 1, least)
        let step = max(Self.niceStep(most > least ? (most - least) / parts : max(abs(most) / 2, 1e-9)), smallestStep)
        let first = widened ? (least / step).rounded(.down) : (least / step).rounded(.up)
        let last = widened ? max((most / step).rounded(.up), first + 1) : (most / step).rounded(.down)
        ticks = first <= last ? stride(from: first, through: last, by: 1).map { $0 * step } : []
        low = widened ? ticks[0] : least
        high = widened ? ticks[ticks.count - 1] : max(most, least + step)
    }

    private static func niceStep(_ step: Double) -> Double {
        let power = pow(10, floor(log10(step))), mantissa = step / power
        return power * (mantissa <= 1 ? 1 : mantissa <= 2 ? 2 : mantissa <= 5 ? 5 : 10)
    }

    /// 0 at the low end, 1 at the high one.
    func place(_ value: Double) -> Double { (value - low) / (high - low) }

    func label(_ tick: Double) -> String { abs(tick) >= 1e4 ? Formatting.count(tick) : String(format: "%.4g", abs(tick) < 1e-12 * max(abs(high), abs(low)) ? 0 : tick) }
}

import Foundation

/// Learning rate by update number: transformers' get_*_schedule_with_warmup, update s taking the schedule's value at s - 1.
public struct LearningRateSchedule: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable, Codable {
        case constant, linear, cosine
    }

    public var kind: Kind
    public var peak: Double
    public var warmupSteps: Int
    public var steps: Int

    public init(kind: Kind, peak: Double, warmupSteps: Int, steps: Int) {
        self.kind = kind
        self.peak = peak
        self.warmupSteps = warmupSteps
        self.steps = steps
    }

    /// Rate of update `update`, counted from 1.
    public func rate(update: Int) -> Double {
        let s = update - 1
        if s < warmupSteps { return peak * Double(s) / Double(max(1, warmupSteps)) }
        let remaining = Double(max(1, steps - warmupSteps)), progress = Double(s - warmupSteps) / remaining
        return switch kind {
        case .constant: peak
        case .linear: peak * max(0, Double(steps - s) / remaining)
        case .cosine: peak * max(0, 0.5 * (1 + cos(Double.pi * progress)))
        }
    }
}

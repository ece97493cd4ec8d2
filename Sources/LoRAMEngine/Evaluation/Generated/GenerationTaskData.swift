/// The questions of a task whose answers a model writes.
public enum GenerationTaskData: Sendable {
    case gsm8k(GSM8KData)
    case humaneval(HumanEvalData)

    public enum Settings: Sendable, Equatable {
        case gsm8k(GSM8KData.Settings)
        case humaneval(HumanEvalData.Settings)
    }

    /// - Throws: `DatasetError`, `EvaluationError`
    public init(_ settings: Settings) throws {
        self = switch settings {
        case .gsm8k(let settings): .gsm8k(try GSM8KData(settings))
        case .humaneval(let settings): .humaneval(try HumanEvalData(settings))
        }
    }

    public var task: GenerationTask {
        switch self {
        case .gsm8k: .gsm8k
        case .humaneval: .humaneval
        }
    }

    /// Texts to be written: what `StageMemory` counts buffers for.
    public var completionCount: Int {
        switch self {
        case .gsm8k(let data): data.prompts.count
        case .humaneval(let data): data.prompts.count * (data.settings.temperatures.map { data.settings.made(at: $0) }.max() ?? 0)
        }
    }
}

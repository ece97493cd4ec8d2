/// The questions of a task whose answers a model writes.
public enum GenerationTaskData: Sendable {
    case gsm8k(GSM8KData)
    case humaneval(HumanEvalData)

    public enum Settings: Sendable, Equatable {
        case gsm8k(GSM8KData.Settings)
        case humaneval(HumanEvalData.Settings)

        /// Files that the task reads.
        public var paths: [String] {
            switch self {
            case .gsm8k(let settings): [settings.path] + (settings.fewShotPath.map { [$0] } ?? [])
            case .humaneval(let settings): [settings.path]
            }
        }

        /// The same task of other files.
        public func replacingPaths(_ replace: (String) -> String) -> Settings {
            switch self {
            case .gsm8k(var settings):
                settings.path = replace(settings.path)
                settings.fewShotPath = settings.fewShotPath.map(replace)
                return .gsm8k(settings)
            case .humaneval(var settings):
                settings.path = replace(settings.path)
                return .humaneval(settings)
            }
        }
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

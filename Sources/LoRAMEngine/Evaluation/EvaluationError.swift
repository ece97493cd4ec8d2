/// What a user asked to be scored that cannot be.
public enum EvaluationError: DiagnosedError, Equatable {
    case unknownTask(name: String)
    case nothingToScore
    case tooFewExamples(path: String, expected: Int, found: Int)
    /// A question whose scored text alone is longer than the window.
    case answerTooLong(path: String, question: Int, tokens: Int, window: Int)
    case needsTokenizer(model: String)
    /// Worked examples that no file was named for.
    case needsExamples(task: GenerationTask, shots: Int)
    /// Answers are written token by token, for which all layers are needed at once.
    case writesWhileStreaming(task: GenerationTask)
    /// Streamed scoring needs this for two layers and what it computes with.
    case exceedsMemory(needed: Int, limit: Int)
    /// Streaming spreads texts over ranks, not layers.
    case streamsWithStages(found: Int)

    public var description: String {
        switch self {
        case .unknownTask(let name): "unknown task: expected one of \(EvaluationTask.names), found \(name.debugDescription)".singleLine
        case .nothingToScore: "nothing to score: expected --perplexity FILE or --task NAME=FILE, found neither"
        case .tooFewExamples(let path, let expected, let found):
            "too few examples in \(path): expected \(expected) to draw from, found \(found); name a larger file or fewer shots"
        case .answerTooLong(let path, let question, let tokens, let window):
            "\(path): expected answers of at most \(window) tokens, found \(tokens) in question \(question); raise --length"
        case .needsTokenizer(let model): "cannot score tasks with \(model): expected a tokenizer beside it, found none; put tokenizer.json or tokenizer.model there"
        case .needsExamples(let task, let shots):
            "\(task.rawValue): expected --fewshot \(task.rawValue)=FILE with \(shots) worked examples, found none; name one, or --shots 0"
        case .writesWhileStreaming(let task):
            "\(task.rawValue): expected a model that fits into the ranks' memory, since its answers are written token by token, found one that is scored layer by "
                + "layer; start more ranks or leave the task out"
        case .exceedsMemory(let needed, let limit):
            "too little memory to score layer by layer: expected \(Formatting.bytes(needed)) for two layers and their buffers, found \(Formatting.bytes(limit)); "
                + "lower batch.micro or --length, or raise --memory"
        case .streamsWithStages(let found):
            "--stream: expected parallel.stages auto or 1, since every rank reads all layers for its share of the texts, found \(found); leave one of them out"
        }
    }

    public var exitCode: ExitStatus {
        switch self {
        case .unknownTask, .nothingToScore, .needsExamples, .writesWhileStreaming, .exceedsMemory, .streamsWithStages: .usage
        case .tooFewExamples, .answerTooLong, .needsTokenizer: .badInput
        }
    }
}

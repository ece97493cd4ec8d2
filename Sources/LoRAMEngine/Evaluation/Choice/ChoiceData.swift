/// A task's questions as token sequences to be scored, sorted by length and put together to micro-batches without padding.
public struct ChoiceData: Sendable {
    public struct Settings: Sendable, Equatable {
        public var task: ChoiceTask
        public var path: String
        /// Where examples come from; nil for the task's own file.
        public var fewShotPath: String?
        public var shots: Int
        /// Of the first questions only.
        public var limit: Int?
        /// Tokens of a sequence at most; longer ones lose their beginning.
        public var length: Int
        public var addsBOS: Bool

        public init(
            task: ChoiceTask, path: String, fewShotPath: String? = nil, shots: Int = 0, limit: Int? = nil, length: Int = 2048, addsBOS: Bool = true
        ) {
            self.task = task
            self.path = path
            self.fewShotPath = fewShotPath
            self.shots = shots
            self.limit = limit
            self.length = length
            self.addsBOS = addsBOS
        }
    }

    public let settings: Settings
    /// Sequences with labels at the scored tokens alone; each is one segment.
    public let batches: [MicroBatch]

    private let questions: [ChoiceQuestion]
    /// [option]: its question and its place among the question's options, in the order of the batches' segments.
    private let places: [(question: Int, option: Int)]
    private let cutCount: Int

    /// - Parameter batchTokens: tokens of a micro-batch at most; at least `settings.length`.
    /// - Throws: `DatasetError`, `EvaluationError`
    public init(_ settings: Settings, tokenizer: any Tokenizer, vocabularySize: Int, batchTokens: Int) throws {
        self.settings = settings
        let all = try ChoiceQuestionReader.questions(settings.task, path: settings.path)
        let questions = Array(all.prefix(settings.limit ?? .max))
        let prefixes = try Self.prefixes(settings, all, count: questions.count)
        let bos = settings.addsBOS ? tokenizer.bosTokenID : nil
        var sequences: [(ids: [Int32], scored: Int, question: Int, option: Int)] = []
        var cutCount = 0
        for (index, question) in questions.enumerated() {
            for (place, option) in question.options.enumerated() {
                var (ids, scored) = Self.encode(prefixes[index] + option.context, option.continuation, tokenizer, bos)
                guard scored < settings.length else {
                    throw EvaluationError.answerTooLong(path: settings.path, question: index + 1, tokens: scored, window: settings.length - 1)
                }
                if let id = ids.first(where: { Int($0) >= vocabularySize }) {
                    throw DatasetError.tokenizerMismatch(path: settings.path, line: index + 1, token: Int(id), vocabularySize: vocabularySize)
                }
                guard ids.count >= 2 else { throw DatasetError.noLabels(path: settings.path, line: index + 1) }
                // The last token is predicted, not read: a window of n tokens scores n + 1.
                if ids.count > settings.length + 1 {
                    ids.removeFirst(ids.count - settings.length - 1)
                    cutCount += 1
                }
                sequences.append((ids, scored, index, place))
            }
        }
        // The longest first: they say at once whether memory suffices. Ties in the file's order.
        let order = sequences.indices.sorted { sequences[$0].ids.count != sequences[$1].ids.count ? sequences[$0].ids.count > sequences[$1].ids.count : $0 < $1 }
        var batches: [MicroBatch] = []
        var batch = MicroBatch.empty
        for index in order {
            let count = sequences[index].ids.count - 1
            if batch.tokenCount > 0, batch.tokenCount + count > batchTokens {
                batches.append(batch)
                batch = .empty
            }
            batch.beginSample(id: UInt64(index))
            batch.append(sequences[index].ids, scored: sequences[index].scored)
        }
        if batch.tokenCount > 0 { batches.append(batch) }
        self.batches = batches
        self.questions = questions
        self.cutCount = cutCount
        places = order.map { (sequences[$0].question, sequences[$0].option) }
    }

    /// Context and continuation are encoded as one text and cut where the context alone ends; spaces at the end of a context belong
    /// to the continuation.
    private static func encode(_ context: String, _ continuation: String, _ tokenizer: any Tokenizer, _ bos: Int32?) -> (ids: [Int32], scored: Int) {
        var head = Substring(context)
        while let last = head.unicodeScalars.last, last.properties.isWhitespace { head.unicodeScalars.removeLast() }
        var whole = tokenizer.encode("\(context) \(continuation)", special: true)
        let start = min(tokenizer.encode(String(head), special: true).count, whole.count)
        let scored = whole.count - start
        if let bos, whole.first != bos { whole.insert(bos, at: 0) }
        return (whole, scored)
    }

    /// The examples before each question, drawn as lm-evaluation-harness draws them: one generator of seed 1234 for the whole task.
    private static func prefixes(_ settings: Settings, _ own: [ChoiceQuestion], count: Int) throws -> [String] {
        guard settings.shots > 0 else { return Array(repeating: "", count: count) }
        let source = try settings.fewShotPath.map { try ChoiceQuestionReader.questions(settings.task, path: $0) } ?? own
        // From its own file a question may draw itself, so one more is drawn.
        let drawn = settings.shots + (settings.fewShotPath == nil ? 1 : 0)
        guard source.count >= drawn else {
            throw EvaluationError.tooFewExamples(path: settings.fewShotPath ?? settings.path, expected: drawn, found: source.count)
        }
        var random = PythonRandom(seed: 1234)
        return (0..<count).map { index in
            random.sample(source.count, drawn).map { source[$0] }.filter { settings.fewShotPath != nil || $0 != own[index] }
                .prefix(settings.shots).map { $0.example + "\n\n" }.joined()
        }
    }

    // MARK: - Results

    /// What a task's options got.
    public struct Result: Sendable {
        public var task: ChoiceTask
        public var questionCount: Int
        public var accuracy: Double
        /// By log-likelihood per character; nil where that says nothing.
        public var normalizedAccuracy: Double?
        /// Sequences that lost their beginning.
        public var cutCount: Int
        /// [question][option]: log P(option | context).
        public var logLikelihoods: [[Double]]
        /// One JSON object a question.
        public var log: [JSONValue]

        /// As lm-evaluation-harness has it: of the mean of 0 and 1, from the sample's variance.
        public static func standardError(_ accuracy: Double, count: Int) -> Double {
            count > 1 ? (accuracy * (1 - accuracy) / Double(count - 1)).squareRoot() : 0
        }
    }

    /// - Parameter losses: -log P of every segment of the batches, in their order.
    public func result(losses: [Double]) -> Result {
        precondition(losses.count == places.count)
        var likelihoods = questions.map { [Double](repeating: 0, count: $0.options.count) }
        for (loss, place) in zip(losses, places) { likelihoods[place.question][place.option] = -loss }
        var right = 0, rightNormalized = 0
        var log: [JSONValue] = []
        for (question, values) in zip(questions, likelihoods) {
            let normalized = zip(values, question.options).map { $0 / Double(max($1.continuation.unicodeScalars.count, 1)) }
            let choice = Self.best(values), choiceNormalized = Self.best(normalized)
            right += choice == question.gold ? 1 : 0
            rightNormalized += choiceNormalized == question.gold ? 1 : 0
            log.append([
                "task": .string(settings.task.rawValue), "index": .integer(log.count), "context": .string(question.options[question.gold].context),
                "options": .array(question.options.map { .string($0.continuation) }), "log_likelihoods": .array(values.map { .double($0) }),
                "gold": .integer(question.gold), "acc": .integer(choice == question.gold ? 1 : 0),
                "acc_norm": .integer(choiceNormalized == question.gold ? 1 : 0),
            ])
        }
        let count = Double(max(questions.count, 1))
        return Result(
            task: settings.task, questionCount: questions.count, accuracy: Double(right) / count,
            normalizedAccuracy: settings.task.hasNormalizedAccuracy ? Double(rightNormalized) / count : nil, cutCount: cutCount,
            logLikelihoods: likelihoods, log: log)
    }

    /// The first of the largest.
    private static func best(_ values: [Double]) -> Int {
        values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
    }
}

extension MicroBatch {
    /// Appends a sequence whose last `scored` tokens are predicted; the last one is not read.
    mutating func append(_ ids: [Int32], scored: Int) {
        let start = tokenCount, count = ids.count - 1
        tokenIDs += ids.dropLast()
        labels += (1...count).map { $0 > count - scored ? ids[$0] : Self.ignoredLabel }
        segments.append(Segment(start: start, count: count))
        samples[samples.count - 1].count += count
    }
}

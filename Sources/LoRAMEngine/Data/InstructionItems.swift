/// Alpaca records: a prompt made with the template, and the answer.
///
/// Prompt and answer are encoded as one text, as generation will see it. The answer starts at the first token in which that
/// differs from the prompt encoded alone: a token that holds the end of the prompt and the start of the answer belongs to the
/// answer, which would otherwise lose its first word.
struct InstructionItems: ItemSource {
    private let file: DatasetFile
    private let encoder: DocumentEncoder
    private let template: PromptTemplate
    private let answersOnly: Bool

    init(file: DatasetFile, encoder: DocumentEncoder, template: PromptTemplate, answersOnly: Bool) {
        self.file = file
        self.encoder = encoder
        self.template = template
        self.answersOnly = answersOnly
    }

    var itemCount: Int { file.recordCount }
    var path: String { file.path }

    func load(_ item: Int, range: Range<Int>, into sequence: inout TokenSequence) throws {
        let answerStart = try encode(texts(of: item), item, into: &sequence)
        sequence.labels.append(contentsOf: sequence.ids)
        if answersOnly {
            for position in 0..<min(answerStart, sequence.count) { sequence.labels[position] = MicroBatch.ignoredLabel }
        }
        sequence.keep(range)
    }

    func summary(of item: Int, limit: Int) throws -> ItemSummary {
        let texts = try texts(of: item)
        let bound =
            encoder.tokenizer.maximumTokenCount(utf8Count: texts.prompt.utf8.count + texts.answer.utf8.count)
            + encoder.frame.maximumCount
        let knowsTokens = encoder.tokenizer.vocabularySize <= encoder.vocabularySize
        // Whatever the tokens are: they fit, and the last one is the EOS of an answer, with BOS somewhere before it.
        if bound <= limit, encoder.frame.alwaysHasTarget, knowsTokens, !texts.answer.isEmpty {
            return ItemSummary(count: nil, exceedsLimit: false, firstTarget: 1)
        }
        var summary = try measure(texts, item)
        summary.exceedsLimit = (summary.count ?? 0) > limit
        return summary
    }

    func measure(_ item: Int) throws -> ItemSummary {
        try measure(texts(of: item), item)
    }

    private func measure(_ texts: (prompt: String, answer: String), _ item: Int) throws -> ItemSummary {
        var sequence = TokenSequence()
        let answerStart = try encode(texts, item, into: &sequence)
        let first = answersOnly ? answerStart : 0
        return ItemSummary(count: sequence.count, exceedsLimit: false, firstTarget: first < sequence.count ? first : nil)
    }

    private func texts(of item: Int) throws(DatasetError) -> (prompt: String, answer: String) {
        let record = try RecordReader(file: file, record: item, format: .alpaca)
        let prompt = try template.prompt(instruction: record.string("instruction"), input: record.optionalString("input"))
        return (prompt, try record.string("output"))
    }

    /// Fills `sequence.ids` and returns where the answer starts in them.
    private func encode(_ texts: (prompt: String, answer: String), _ item: Int, into sequence: inout TokenSequence) throws -> Int {
        sequence.removeAll()
        let origin = DocumentEncoder.Origin(file: file, record: item)
        var whole = texts.prompt + texts.answer
        try whole.withUTF8 { try encoder.encode($0, origin, into: &sequence.ids) }
        guard answersOnly else { return 0 }

        // The prompt alone, framed in the same way but for EOS.
        var frame = encoder.frame
        frame.addsEOS = false
        let promptEncoder = DocumentEncoder(tokenizer: encoder.tokenizer, frame: frame, vocabularySize: encoder.vocabularySize)
        var promptIDs: [Int32] = []
        var prompt = texts.prompt
        try prompt.withUTF8 { try promptEncoder.encode($0, origin, into: &promptIDs) }
        var common = 0
        while common < promptIDs.count, common < sequence.count, promptIDs[common] == sequence.ids[common] { common += 1 }
        return common
    }
}

/// Records of instructions and answers, rendered with a template.
///
/// Prompt and answer are encoded as one text, as generation will see it. The answer starts at the first token in which that
/// differs from the prompt encoded alone: a token that holds the end of the prompt and the start of the answer belongs to the
/// answer, which would otherwise lose its first word. A conversation is encoded exchange by exchange; each starts behind a special
/// token, so that nothing can merge across.
struct InstructionItems: ItemSource {
    private let file: DatasetFile
    private let format: DatasetFormat
    private let encoder: DocumentEncoder
    private let template: PromptTemplate
    private let answersOnly: Bool

    init(file: DatasetFile, format: DatasetFormat, encoder: DocumentEncoder, template: PromptTemplate, answersOnly: Bool) {
        self.file = file
        self.format = format
        self.encoder = encoder
        self.template = template
        self.answersOnly = answersOnly
    }

    var itemCount: Int { file.recordCount }
    var path: String { file.path }

    func load(_ item: Int, range: Range<Int>, into sequence: inout TokenSequence) throws {
        try encode(exchanges(of: item), item, into: &sequence)
        sequence.keep(range)
    }

    func summary(of item: Int, limit: Int) throws -> ItemSummary {
        let exchanges = try exchanges(of: item)
        let byteCount = exchanges.reduce(0) { $0 + $1.prompt.utf8.count + $1.answer.utf8.count + $1.tail.utf8.count }
        let bound = encoder.tokenizer.maximumTokenCount(utf8Count: byteCount) + 2 * exchanges.count + encoder.frame.maximumCount
        let knowsTokens = encoder.tokenizer.vocabularySize <= encoder.vocabularySize
        // Whatever the tokens are: they fit, and the last one is the EOS of an answer, with BOS somewhere before it.
        if bound <= limit, encoder.frame.alwaysHasTarget, knowsTokens, let last = exchanges.last, last.eos != .none, !last.answer.isEmpty {
            return ItemSummary(count: nil, exceedsLimit: false, firstTarget: 1)
        }
        var summary = try measure(exchanges, item)
        summary.exceedsLimit = (summary.count ?? 0) > limit
        return summary
    }

    func measure(_ item: Int) throws -> ItemSummary {
        try measure(exchanges(of: item), item)
    }

    private func measure(_ exchanges: [Exchange], _ item: Int) throws -> ItemSummary {
        var sequence = TokenSequence()
        try encode(exchanges, item, into: &sequence)
        return ItemSummary(
            count: sequence.count, exceedsLimit: false, firstTarget: sequence.labels.firstIndex { $0 != MicroBatch.ignoredLabel })
    }

    private func exchanges(of item: Int) throws(DatasetError) -> [Exchange] {
        template.exchanges(try Conversation(RecordReader(file: file, record: item, format: format)))
    }

    private func encode(_ exchanges: [Exchange], _ item: Int, into sequence: inout TokenSequence) throws {
        sequence.removeAll()
        let origin = DocumentEncoder.Origin(file: file, record: item)
        var ids: [Int32] = []
        var part: [Int32] = []
        for (index, exchange) in exchanges.enumerated() {
            var frame = encoder.frame
            if index > 0 {
                frame.bos = template.repeatsBOS ? encoder.tokenizer.bosTokenID : nil
                frame.addsBOS = true
            }
            switch exchange.eos {
            case .none: frame.addsEOS = false
            case .always: (frame.eos, frame.addsEOS) = (encoder.tokenizer.eosTokenID, true)
            case .atEndIfWanted: break
            }
            /// How many of `ids` the start of the exchange, alone, has in common with the whole.
            func count(_ text: String) throws -> Int {
                var startFrame = frame
                startFrame.addsEOS = false
                try encode(text, startFrame, origin, into: &part)
                return zip(part, ids).prefix { $0 == $1 }.count
            }
            try encode(exchange.prompt + exchange.answer + exchange.tail, frame, origin, into: &ids)
            let answerStart = answersOnly ? try count(exchange.prompt) : 0
            let answerEnd = answersOnly && !exchange.tail.isEmpty ? try count(exchange.prompt + exchange.answer) : ids.count
            sequence.ids += ids
            for (position, id) in ids.enumerated() {
                sequence.labels.append(position >= answerStart && position < answerEnd ? id : MicroBatch.ignoredLabel)
            }
        }
    }

    private func encode(
        _ text: String, _ frame: SequenceFrame, _ origin: DocumentEncoder.Origin, into ids: inout [Int32]
    ) throws {
        var text = text
        try text.withUTF8 {
            try DocumentEncoder(tokenizer: encoder.tokenizer, frame: frame, vocabularySize: encoder.vocabularySize).encode($0, origin, into: &ids)
        }
    }
}

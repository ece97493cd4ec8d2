/// Makes token ids of what a model is asked to go on from, as the data layer makes them of what it learns from.
public struct PromptEncoder: Sendable {
    public let tokenizer: any Tokenizer
    public let template: PromptTemplate
    /// Whether BOS comes first, where the tokenizer has it so; never twice.
    public let addsBOS: Bool

    /// - Throws: `DatasetError.templateNeedsToken` for a template of another family of tokenizers.
    public init(tokenizer: any Tokenizer, template: PromptTemplate = .none, addsBOS: Bool = true) throws {
        try template.check(tokenizer)
        self.tokenizer = tokenizer
        self.template = template
        self.addsBOS = addsBOS
    }

    /// A text as it is, or with a template a user's words, to be answered.
    public func encode(_ text: String) -> [Int32] {
        encode(Conversation(turns: [.init(role: .user, text: text)]))
    }

    /// The template's own tokens that end an answer.
    public var stopTokenIDs: [Int32] {
        template.endOfAnswer.map { tokenizer.encode($0, special: true) } ?? []
    }

    /// A conversation whose last turns wait for an answer.
    func encode(_ conversation: Conversation) -> [Int32] {
        var turns = conversation.turns
        if turns.last?.role != .assistant { turns.append(.init(role: .assistant, text: "")) }
        let exchanges = template.exchanges(Conversation(turns: turns))
        var ids: [Int32] = []
        for (index, exchange) in exchanges.enumerated() {
            let isOpen = index == exchanges.count - 1
            let text = isOpen ? exchange.prompt : exchange.prompt + exchange.answer + exchange.tail
            var body = tokenizer.encode(text, special: true)
            if index == 0 ? addsBOS : template.repeatsBOS, let bos = tokenizer.bosTokenID {
                ids.append(bos)
                if body.first == bos { body.removeFirst() }
            }
            ids += body
            if !isOpen, exchange.eos == .always, let eos = tokenizer.eosTokenID { ids.append(eos) }
        }
        return ids
    }

    // MARK: - Files

    /// The prompts of a JSON or JSON lines file: `prompt` (or `text`), a string; `input_ids`, taken as they are; `instruction` with `input`;
    /// `messages` or `conversations`, whose last turn, if it is an answer, is left out.
    ///
    /// - Throws: `DatasetError`; `GenerationError.badRecord`.
    public func read(path: String) throws -> [[Int32]] {
        let file = try DatasetFile(path: path, format: .prompt)
        return try (0..<file.recordCount).map { try ids(file, $0) }
    }

    private func ids(_ file: DatasetFile, _ record: Int) throws -> [Int32] {
        let object = try file.object(record)
        if let ids = object["input_ids"] {
            let numbers = ids.arrayValue?.map(\.intValue) ?? [nil]
            return try numbers.map { number in
                guard let number, let id = Int32(exactly: number) else { throw bad(file, record, "token ids in 'input_ids'", ids.kindDescription) }
                return id
            }
        }
        if let prompt = object["prompt"] ?? object["text"], prompt.arrayValue == nil {
            guard let text = prompt.stringValue else { throw bad(file, record, "a string in 'prompt'", prompt.kindDescription) }
            return encode(text)
        }
        let isAlpaca = object["instruction"] != nil
        guard isAlpaca || object["messages"] != nil || object["conversations"] != nil else {
            let keys = (object.objectMembers ?? []).prefix(8).map { DatasetError.quoted($0.key) }.joined(separator: ", ")
            throw bad(file, record, "one of prompt, text, input_ids, instruction, messages, conversations", keys.isEmpty ? "no keys" : keys)
        }
        let reader = try RecordReader(
            file: file, record: record, format: isAlpaca ? .alpaca : object["messages"] != nil ? .messages : .conversations)
        if isAlpaca {
            return encode(
                Conversation(turns: [.init(role: .user, text: try reader.string("instruction"), context: try reader.optionalString("input"))]))
        }
        var conversation = try Conversation(reader)
        if conversation.turns.last?.role == .assistant { conversation.turns.removeLast() }
        guard !conversation.turns.isEmpty else { throw bad(file, record, "something to answer", "an answer alone") }
        return encode(conversation)
    }

    private func bad(_ file: DatasetFile, _ record: Int, _ expected: String, _ found: String) -> GenerationError {
        .badRecord(path: file.path, line: file.line(of: record), expected: expected, found: found)
    }
}

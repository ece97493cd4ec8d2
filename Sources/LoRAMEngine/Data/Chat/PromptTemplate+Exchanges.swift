import Foundation

/// A stretch of a rendered conversation that ends with an answer. It can be made into tokens for itself: it is the first one, or a
/// special token sets it off from the one before.
struct Exchange: Sendable, Equatable {
    var prompt: String
    /// What is learnt, the template's closing token included where it is written out.
    var answer: String
    /// Belongs behind the answer, but is not learnt.
    var tail = ""
    /// EOS, by its id, ends the answer: always, or only where the caller wants one at the end of a text.
    var eos = EOS.none

    enum EOS: Sendable { case none, always, atEndIfWanted }
}

extension PromptTemplate {
    /// What goes into a text as ids, and must be in the vocabulary.
    var requiredTokens: [String] {
        switch self {
        case .llama3: ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        case .chatml: ["<|im_start|>", "<|im_end|>"]
        case .alpaca, .llama2, .none: []
        }
    }

    /// The token of the template's own that ends an answer; nil: EOS does.
    var endOfAnswer: String? {
        switch self {
        case .llama3: "<|eot_id|>"
        case .chatml: "<|im_end|>"
        case .alpaca, .llama2, .none: nil
        }
    }

    /// - Throws: `DatasetError.templateNeedsToken`
    func check(_ tokenizer: any Tokenizer) throws(DatasetError) {
        for token in requiredTokens where tokenizer.encode(token, special: true).count != 1 {
            throw .templateNeedsToken(template: rawValue, token: token)
        }
    }

    /// Whether every exchange but the first starts with BOS, by its id. The first one's is the tokenizer's.
    var repeatsBOS: Bool { self == .llama2 }

    /// Renders a conversation up to its last answer; no exchange where there is none.
    func exchanges(_ conversation: Conversation) -> [Exchange] {
        let turns = conversation.answered.turns
        var exchanges: [Exchange] = []
        var start = 0
        for (index, turn) in turns.enumerated() where turn.role == .assistant {
            let isLast = index == turns.count - 1
            var exchange = render(turns[start..<index], answer: turn.text, isFirst: start == 0)
            if !endsWithOwnToken { exchange.eos = isLast ? .atEndIfWanted : .always }
            exchanges.append(exchange)
            start = index + 1
        }
        return exchanges
    }

    private var endsWithOwnToken: Bool { endOfAnswer != nil }

    private func plain(_ turn: Conversation.Turn) -> String {
        turn.context.isEmpty ? turn.text : "\(turn.text)\n\(turn.context)"
    }

    private func render(_ turns: ArraySlice<Conversation.Turn>, answer: String, isFirst: Bool) -> Exchange {
        switch self {
        case .none: return Exchange(prompt: turns.map(plain).joined(separator: "\n"), answer: answer)
        case .alpaca: return Exchange(prompt: alpaca(turns, isFirst: isFirst), answer: answer)
        case .llama2:
            let system = turns.filter { $0.role == .system }.map { "<<SYS>>\n\(Self.trimmed($0.text))\n<</SYS>>\n\n" }.joined()
            let text = turns.filter { $0.role != .system }.map(plain).joined(separator: "\n")
            return Exchange(prompt: "[INST] \(Self.trimmed(system + Self.trimmed(text))) [/INST]", answer: " \(Self.trimmed(answer)) ")
        case .llama3:
            func header(_ role: String) -> String { "<|start_header_id|>\(role)<|end_header_id|>\n\n" }
            let prompt = turns.map { header($0.role == .tool ? "ipython" : $0.role.rawValue) + Self.trimmed(plain($0)) + "<|eot_id|>" }.joined()
            return Exchange(prompt: prompt + header("assistant"), answer: Self.trimmed(answer) + "<|eot_id|>")
        case .chatml:
            let prompt = turns.map { "<|im_start|>\($0.role.rawValue)\n\(plain($0))<|im_end|>\n" }.joined()
            return Exchange(prompt: prompt + "<|im_start|>assistant\n", answer: answer + "<|im_end|>", tail: "\n")
        }
    }

    /// Alpaca knows one instruction and its answer. A system message takes the place of the opening words; further exchanges follow
    /// behind EOS, in the same wording without them.
    private func alpaca(_ turns: ArraySlice<Conversation.Turn>, isFirst: Bool) -> String {
        let system = turns.filter { $0.role == .system }.map(\.text).joined(separator: "\n")
        let rest = turns.filter { $0.role != .system }
        let context = rest.count == 1 ? rest[rest.startIndex].context : ""
        let instruction = rest.count == 1 ? rest[rest.startIndex].text : rest.map(plain).joined(separator: "\n")
        let whole = prompt(instruction: instruction, input: context)
        guard !isFirst || !system.isEmpty, let body = whole.range(of: "### Instruction:") else { return whole }
        return (system.isEmpty ? "" : "\(system)\n\n") + whole[body.lowerBound...]
    }

    private static func trimmed(_ text: String) -> String {
        text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// What a record of instruction data says, whatever its format: turns of a conversation.
struct Conversation: Sendable, Equatable {
    enum Role: String, Sendable { case system, user, assistant, tool }

    struct Turn: Sendable, Equatable {
        var role: Role
        var text: String
        /// Alpaca's `input`: what the instruction is about; empty for none.
        var context = ""
    }

    var turns: [Turn]

    /// Turns behind the last answer teach nothing.
    var answered: Conversation {
        var result = self
        while let last = result.turns.last, last.role != .assistant { result.turns.removeLast() }
        return result
    }
}

extension Conversation {
    /// - Throws: `DatasetError` if the record is not what its format says.
    init(_ record: RecordReader) throws(DatasetError) {
        switch record.format {
        case .conversations:
            turns = try Self.turns(record.elements("conversations"), "conversations", record, role: "from", text: "value")
            let system = try record.optionalString("system")
            if !system.isEmpty { turns.insert(Turn(role: .system, text: system), at: 0) }
        case .messages:
            turns = try Self.turns(record.elements("messages"), "messages", record, role: "role", text: "content")
        case .openorca:
            let system = try record.optionalString("system_prompt")
            turns = system.isEmpty ? [] : [Turn(role: .system, text: system)]
            turns.append(Turn(role: .user, text: try record.string("question")))
            turns.append(Turn(role: .assistant, text: try record.string("response")))
        case .prompt:
            if case .array? = record.value("prompt") {
                turns = try Self.turns(record.elements("prompt"), "prompt", record, role: "role", text: "content")
                turns += try Self.turns(record.elements("completion"), "completion", record, role: "role", text: "content")
            } else {
                turns = [Turn(role: .user, text: try record.string("prompt")), Turn(role: .assistant, text: try record.string("completion"))]
            }
        case .alpaca, .text, .inputIDs, .plain:
            turns = [
                Turn(role: .user, text: try record.string("instruction"), context: try record.optionalString("input")),
                Turn(role: .assistant, text: try record.string("output")),
            ]
        }
    }

    private static func turns(
        _ elements: [JSONValue], _ list: String, _ record: RecordReader, role roleKey: String, text textKey: String
    ) throws(DatasetError) -> [Turn] {
        var turns: [Turn] = []
        for (index, element) in elements.enumerated() {
            let key = "\(list)[\(index)]"
            guard let name = element[roleKey]?.stringValue else { throw record.wrongType("\(key).\(roleKey)", "a string", element[roleKey] ?? .null) }
            guard let role = roles[name] else {
                throw .wrongType(
                    path: record.file.path, line: record.line, key: "\(key).\(roleKey)", expected: "one of \(roles.keys.sorted().joined(separator: ", "))",
                    found: DatasetError.quoted(name))
            }
            turns.append(Turn(role: role, text: try content(element[textKey], "\(key).\(textKey)", record)))
        }
        return turns
    }

    /// A string, or a list of parts with text. Null, as messages that call a tool have it, is no text.
    private static func content(_ value: JSONValue?, _ key: String, _ record: RecordReader) throws(DatasetError) -> String {
        switch value {
        case .string(let text)?: return text
        case .null?: return ""
        case .array(let parts)?:
            var text = ""
            for part in parts {
                guard part["type"]?.stringValue == "text", let piece = (part["text"] ?? part["value"])?.stringValue else {
                    throw record.wrongType(key, "parts of text", part)
                }
                text += piece
            }
            return text
        default: throw record.wrongType(key, "a string", value ?? .null)
        }
    }

    /// The names that datasets give to who speaks.
    private static let roles: [String: Role] = [
        "system": .system, "user": .user, "human": .user, "assistant": .assistant, "gpt": .assistant, "chatgpt": .assistant, "bing": .assistant,
        "bard": .assistant, "model": .assistant, "function_call": .assistant, "tool": .tool, "observation": .tool, "function": .tool, "ipython": .tool,
    ]
}

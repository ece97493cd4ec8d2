/// What the records of a dataset look like.
public enum DatasetFormat: String, Sendable, CaseIterable {
    /// `instruction`, `input` (may be empty, null or missing), `output`.
    case alpaca
    /// ShareGPT and OpenHermes: `conversations`, each turn with `from` and `value`; optionally `system`.
    case conversations
    /// OpenAI: `messages`, each with `role` and `content`.
    case messages
    /// `system_prompt` (may be missing), `question`, `response`.
    case openorca
    /// `prompt` and `completion`: two strings, or two lists of messages.
    case prompt
    /// A document in `text`.
    case text
    /// Token ids in `input_ids`; optionally `labels`, as Hugging Face has them: not shifted, -100 for no loss.
    case inputIDs = "input_ids"
    /// A text file, no JSON: documents separated by `<|endoftext|>` where that occurs, else one document.
    case plain

    static let supportedNames = allCases.map(\.rawValue).joined(separator: ", ")

    /// - Parameter name: a recipe's `format`; `auto` gives nil.
    /// - Throws: `DatasetError.unsupportedFormat` for names without a reader.
    public static func named(_ name: String) throws(DatasetError) -> DatasetFormat? {
        if name == "auto" { return nil }
        guard let format = DatasetFormat(rawValue: name) else {
            throw .unsupportedFormat(path: nil, found: "'\(name)'")
        }
        return format
    }

    /// Finds the format of a JSON dataset from the keys of its first record.
    ///
    /// - Throws: `DatasetError.unsupportedFormat`
    static func detect(_ record: JSONValue, path: String) throws(DatasetError) -> DatasetFormat {
        func has(_ keys: String...) -> Bool { keys.allSatisfy { record[$0] != nil } }
        if has("input_ids") { return .inputIDs }
        if has("instruction", "output") { return .alpaca }
        if has("conversations") { return .conversations }
        if has("messages") { return .messages }
        if has("question", "response") { return .openorca }
        if has("prompt", "completion") { return .prompt }
        if has("text") { return .text }
        let keys = (record.objectMembers ?? []).prefix(8).map { DatasetError.quoted($0.key) }.joined(separator: ", ")
        throw .unsupportedFormat(path: path, found: keys.isEmpty ? "a record without keys" : "the keys \(keys)")
    }
}

/// What the records of a dataset look like.
public enum DatasetFormat: String, Sendable, CaseIterable {
    /// `instruction`, `input` (may be empty, null or missing), `output`.
    case alpaca
    /// A document in `text`.
    case text
    /// Token ids in `input_ids`; optionally `labels`, as Hugging Face has them: not shifted, -100 for no loss.
    case inputIDs = "input_ids"
    /// A text file, no JSON: documents separated by `<|endoftext|>` where that occurs, else one document.
    case plain

    /// The recipe's names of formats that no reader exists for yet.
    static let plannedNames = ["conversations", "messages", "openorca", "prompt"]
    static let supportedNames = allCases.map(\.rawValue).joined(separator: ", ")

    /// - Parameter name: a recipe's `format`; `auto` gives nil.
    /// - Throws: `DatasetError.unsupportedFormat` for names without a reader.
    public static func named(_ name: String) throws(DatasetError) -> DatasetFormat? {
        if name == "auto" { return nil }
        guard let format = DatasetFormat(rawValue: name) else {
            throw .unsupportedFormat(path: nil, found: "'\(name)'", isPlanned: plannedNames.contains(name))
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
        if has("text") { return .text }
        let planned = [
            (has("conversations"), "conversations (ShareGPT)"), (has("messages"), "messages (OpenAI)"),
            (has("question", "response"), "openorca"), (has("prompt", "completion"), "prompt and completion"),
        ]
        if let format = planned.first(where: \.0)?.1 {
            throw .unsupportedFormat(path: path, found: format, isPlanned: true)
        }
        let keys = (record.objectMembers ?? []).prefix(8).map { DatasetError.quoted($0.key) }.joined(separator: ", ")
        throw .unsupportedFormat(path: path, found: keys.isEmpty ? "a record without keys" : "the keys \(keys)", isPlanned: false)
    }
}

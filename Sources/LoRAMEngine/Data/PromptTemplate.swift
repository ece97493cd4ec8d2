/// How an instruction and its answer become one text.
public enum PromptTemplate: String, Sendable, CaseIterable {
    /// The Stanford Alpaca wording, with a line break behind `### Response:` as Alpaca-LoRA, LLM-Pruner and torchtune have it.
    case alpaca
    /// No wording: the prompt and, right behind it, the answer.
    case none

    static let plannedNames = ["llama-2", "llama-3", "chatml"]
    static let supportedNames = allCases.map(\.rawValue).joined(separator: ", ")

    /// - Throws: `DatasetError.unsupportedTemplate`
    public static func named(_ name: String) throws(DatasetError) -> PromptTemplate {
        guard let template = PromptTemplate(rawValue: name) else {
            throw .unsupportedTemplate(name: name, isPlanned: plannedNames.contains(name))
        }
        return template
    }

    /// What goes before the answer.
    ///
    /// - Parameter input: the context of the instruction; an empty one counts as none. Without a template it follows the
    ///   instruction on a line of its own.
    public func prompt(instruction: String, input: String) -> String {
        switch self {
        case .alpaca where input.isEmpty:
            """
            Below is an instruction that describes a task. Write a response that appropriately completes the request.

            ### Instruction:
            \(instruction)

            ### Response:

            """
        case .alpaca:
            """
            Below is an instruction that describes a task, paired with an input that provides further context. \
            Write a response that appropriately completes the request.

            ### Instruction:
            \(instruction)

            ### Input:
            \(input)

            ### Response:

            """
        case .none: input.isEmpty ? instruction : "\(instruction)\n\(input)"
        }
    }
}

/// How an instruction and its answer become one text.
public enum PromptTemplate: String, Sendable, CaseIterable {
    /// The Stanford Alpaca wording, with a line break behind `### Response:` as Alpaca-LoRA, LLM-Pruner and torchtune have it.
    case alpaca
    /// `[INST] ... [/INST] ... `, BOS before and EOS behind each exchange, the system's words in `<<SYS>>`.
    case llama2 = "llama-2"
    /// Turns behind `<|start_header_id|>role<|end_header_id|>`, each ended by `<|eot_id|>`.
    case llama3 = "llama-3"
    /// Turns between `<|im_start|>role` and `<|im_end|>`.
    case chatml
    /// No wording: the prompt and, right behind it, the answer.
    case none

    static let supportedNames = allCases.map(\.rawValue).joined(separator: ", ")

    /// - Throws: `DatasetError.unsupportedTemplate`
    public static func named(_ name: String) throws(DatasetError) -> PromptTemplate {
        guard let template = PromptTemplate(rawValue: name) else {
            throw .unsupportedTemplate(name: name)
        }
        return template
    }

    /// What goes before the answer to a single instruction, in Alpaca's wording or none.
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
        case .llama2, .llama3, .chatml, .none: input.isEmpty ? instruction : "\(instruction)\n\(input)"
        }
    }
}

/// Which tokens end a completion.
public enum StopTokens {
    /// A model's: EOS by its config.json, by the generation_config.json beside it, which chat models have longer, and by its tokenizer.
    ///
    /// - Parameter directory: the model's; nil: there is none.
    public static func of(_ config: LlamaConfig, directory: String? = nil, tokenizer: (any Tokenizer)? = nil) -> Set<Int32> {
        var ids = Set(config.eosTokenIDs.compactMap { Int32(exactly: $0) })
        if let id = tokenizer?.eosTokenID { ids.insert(id) }
        // A hint that a model need not have: what cannot be read says nothing.
        if let directory, let settings = try? JSONValue.parse(contentsOf: "\(directory)/generation_config.json"), let eos = settings["eos_token_id"] {
            ids.formUnion((eos.arrayValue ?? [eos]).compactMap { $0.intValue.flatMap { Int32(exactly: $0) } })
        }
        return ids
    }
}

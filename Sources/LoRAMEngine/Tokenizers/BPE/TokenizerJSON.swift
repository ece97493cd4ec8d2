/// Reads a Hugging Face tokenizer.json with a BPE model. Whatever it asks for that is not implemented is an error that says so.
struct TokenizerJSON {
    let path: String
    var definition = BPEDefinition()

    /// - Throws: `TokenizerError`
    init(bytes: [UInt8], path: String) throws {
        self.path = path
        let root: JSONValue
        do { root = try JSONValue.parse(bytes) } catch { throw TokenizerError.unreadable(path: path, reason: "\(error)") }
        guard let model = root["model"], case .object = model else { throw inconsistent("an object 'model'", root["model"]) }
        definition.isByteLevel = false
        definition.normalizers = try normalizers(root["normalizer"])
        try readPreTokenizer(root["pre_tokenizer"])
        try readModel(model)
        try readAddedTokens(root["added_tokens"])
        try readDecoder(root["decoder"])
        try readPostProcessor(root["post_processor"])
        try readConfig()
    }

    // MARK: - Errors

    func inconsistent(_ expected: String, _ found: JSONValue?) -> TokenizerError {
        .inconsistent(path: path, expected: expected, found: Self.describe(found))
    }

    func unsupported(_ expected: String, _ found: String) -> TokenizerError {
        .unsupported(path: path, expected: expected, found: found.singleLine)
    }

    static func describe(_ value: JSONValue?) -> String {
        guard let value else { return "none" }
        guard let text = value.stringValue else { return value.kindDescription }
        let quoted = text.debugDescription
        return quoted.count <= 60 ? quoted : quoted.prefix(57) + "...\""
    }

    // MARK: - Fields

    func flag(_ object: JSONValue, _ key: String, default fallback: Bool) throws -> Bool {
        guard let value = object[key], !value.isNull else { return fallback }
        guard let flag = value.boolValue else { throw inconsistent("true or false in '\(key)'", value) }
        return flag
    }

    func text(_ object: JSONValue, _ key: String) throws -> String {
        guard let text = object[key]?.stringValue else { throw inconsistent("a string in '\(key)'", object[key]) }
        return text
    }

    func list(_ object: JSONValue, _ key: String) throws -> [JSONValue] {
        guard let list = object[key]?.arrayValue else { throw inconsistent("a list in '\(key)'", object[key]) }
        return list
    }

    func id(_ value: JSONValue?, _ what: String) throws -> Int32 {
        guard let id = value?.intValue, (0..<(1 << 24)).contains(id) else { throw inconsistent("\(what): an id in 0 ..< \(1 << 24)", value) }
        return Int32(id)
    }

    // MARK: - Model

    private mutating func readModel(_ model: JSONValue) throws {
        let type = model["type"]?.stringValue ?? "BPE"
        guard type == "BPE" else { throw unsupported("a BPE model", "the model type '\(type)'") }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let value = model[key], !value.isNull, value.stringValue != "" { throw unsupported("no '\(key)'", Self.describe(value)) }
        }
        if let dropout = model["dropout"], !dropout.isNull, dropout.doubleValue != 0 { throw unsupported("no dropout", "'dropout'") }
        guard let members = model["vocab"]?.objectMembers else { throw inconsistent("an object 'vocab'", model["vocab"]) }
        var isTaken: Set<Int32> = []
        definition.tokens = try members.map { member in
            let id = try id(member.value, "vocabulary entry \(Self.describe(.string(member.key)))")
            guard isTaken.insert(id).inserted else { throw inconsistent("every id once in the vocabulary", .string("\(id)")) }
            guard definition.isByteLevel else { return .init(id: id, bytes: Array(member.key.utf8)) }
            guard let bytes = ByteAlphabet.bytes(of: member.key) else { return .init(id: id, bytes: Array(member.key.utf8), isReachable: false) }
            return .init(id: id, bytes: bytes)
        }
        let ids = PieceTable(members.map { (key: Array($0.key.utf8)[...], value: Int32($0.value.intValue ?? -1)) })
        definition.merges = try merges(model, ids)
        definition.looksUpWords = try flag(model, "ignore_merges", default: false)
        definition.fusesUnknown = try flag(model, "fuse_unk", default: false)
        if let unknown = model["unk_token"], !unknown.isNull {
            let id = Self.lookup(ids, Array(try text(model, "unk_token").utf8))
            guard id >= 0 else { throw inconsistent("the unknown token in the vocabulary", unknown) }
            definition.unknownID = id
        }
        if try flag(model, "byte_fallback", default: false), !definition.isByteLevel {
            definition.fallbackBytes = (0..<256).map { byte in
                let digits = String(byte, radix: 16, uppercase: true)
                return Self.lookup(ids, Array("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8))
            }
        }
    }

    private func merges(_ model: JSONValue, _ ids: PieceTable) throws -> [PairTable.Merge] {
        let list = try list(model, "merges")
        guard list.count <= PairTable.maximumCount else { throw inconsistent("at most \(PairTable.maximumCount) merges", .string("\(list.count)")) }
        var joined: [UInt8] = []
        return try list.enumerated().map { rank, value in
            let pair: [ArraySlice<UInt8>]
            if let line = value.stringValue {
                pair = Array(line.utf8).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            } else {
                pair = (value.arrayValue ?? []).compactMap { $0.stringValue.map { Array($0.utf8)[...] } }
            }
            guard pair.count == 2 else { throw inconsistent("two tokens in merge \(rank)", value) }
            joined.removeAll(keepingCapacity: true)
            joined += pair[0]
            joined += pair[1]
            let (left, right, result) = (Self.lookup(ids, Array(pair[0])), Self.lookup(ids, Array(pair[1])), Self.lookup(ids, joined))
            guard left >= 0, right >= 0, result >= 0 else {
                throw inconsistent("both tokens of merge \(rank) and their union in the vocabulary", value)
            }
            return .init(left: left, right: right, rank: Int32(rank), result: result)
        }
    }

    private static func lookup(_ ids: PieceTable, _ key: [UInt8]) -> Int32 {
        key.withUnsafeBufferPointer { $0.isEmpty ? -1 : ids.lookup($0.baseAddress!, $0.count) }
    }

    private mutating func readAddedTokens(_ value: JSONValue?) throws {
        guard let value, !value.isNull else { return }
        guard let list = value.arrayValue else { throw inconsistent("a list 'added_tokens'", value) }
        var ids: Set<Int32> = []
        definition.added = try list.map { token in
            let content = try text(token, "content")
            let id = try id(token["id"], "added token \(Self.describe(.string(content)))")
            guard ids.insert(id).inserted else { throw inconsistent("every id once among the added tokens", .string("\(id)")) }
            let isSpecial = try flag(token, "special", default: false)
            return try .init(
                id: id, content: Array(content.utf8), isSpecial: isSpecial, isNormalized: flag(token, "normalized", default: !isSpecial),
                singleWord: flag(token, "single_word", default: false), stripsLeft: flag(token, "lstrip", default: false),
                stripsRight: flag(token, "rstrip", default: false))
        }
    }

    // MARK: - What comes behind

    private mutating func readPostProcessor(_ value: JSONValue?) throws {
        guard let value, !value.isNull else { return }
        switch try text(value, "type") {
        case "ByteLevel": break
        case "Sequence": for part in try list(value, "processors") { try readPostProcessor(part) }
        case "RobertaProcessing", "BertProcessing":
            definition.bosTokenID = try id(value["cls"]?[1], "cls")
            definition.eosTokenID = try id(value["sep"]?[1], "sep")
            definition.appendsEOS = true
        case "TemplateProcessing":
            var before: [Int32] = [], behind: [Int32] = [], isBehind = false
            for part in try list(value, "single") {
                if part["Sequence"] != nil {
                    isBehind = true
                } else {
                    let name = try text(part["SpecialToken"] ?? .null, "id")
                    let ids = try list(value["special_tokens"]?[name] ?? .null, "ids").map { try id($0, "special token \(Self.describe(.string(name)))") }
                    if isBehind { behind += ids } else { before += ids }
                }
            }
            guard isBehind, before.count <= 1, behind.count <= 1 else {
                throw unsupported("a post-processor with at most one token before and behind a text", "\(before.count) and \(behind.count)")
            }
            definition.bosTokenID = before.first
            definition.eosTokenID = behind.first
            definition.appendsEOS = !behind.isEmpty
        case let type:
            throw unsupported("the post-processor TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel or Sequence", "'\(type)'")
        }
    }

    /// tokenizer_config.json, where there is one, names BOS and EOS and may say whether they are added.
    private mutating func readConfig() throws {
        let file = "\(FilePath.parent(path))/tokenizer_config.json"
        let config: JSONValue
        do {
            config = FilePath.lastComponent(path) == "tokenizer.json" && FilePath.exists(file) ? try JSONValue.parse(contentsOf: file) : .null
        } catch {
            throw TokenizerError.unreadable(path: file, reason: "\(error)")
        }
        func named(_ key: String) -> Int32? {
            (config[key]?.stringValue ?? config[key]?["content"]?.stringValue).flatMap { id(ofToken: $0) }
        }
        switch config["add_bos_token"]?.boolValue {
        case true?: definition.bosTokenID = named("bos_token") ?? definition.bosTokenID
        case false?: definition.bosTokenID = nil
        case nil: break
        }
        if let adds = config["add_eos_token"]?.boolValue { definition.appendsEOS = adds }
        let usual = ["</s>", "<|end_of_text|>", "<|endoftext|>"]
        definition.eosTokenID = named("eos_token") ?? definition.eosTokenID ?? usual.compactMap { id(ofToken: $0) }.first
    }

    private func id(ofToken text: String) -> Int32? {
        let bytes = Array(text.utf8)
        return definition.added.first { $0.content == bytes }?.id ?? definition.tokens.first { $0.isReachable && $0.bytes == bytes }?.id
    }
}

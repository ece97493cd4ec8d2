/// Normalizers, pre-tokenizers and decoders.
extension TokenizerJSON {
    // MARK: - Normalizers

    func normalizers(_ value: JSONValue?) throws -> [TextNormalizer] {
        guard let value, !value.isNull else { return [] }
        let type = try text(value, "type")
        if let form = TextNormalizer.Form(rawValue: type) { return [.unicode(form)] }
        switch type {
        case "Sequence": return try list(value, "normalizers").flatMap { try normalizers($0) }
        case "Prepend": return [.prepend(Array(try text(value, "prepend").utf8))]
        case "Lowercase": return [.lowercase]
        case "Strip": return try [.strip(left: flag(value, "strip_left", default: true), right: flag(value, "strip_right", default: true))]
        case "Replace":
            guard let pattern = value["pattern"]?["String"]?.stringValue, !pattern.isEmpty else {
                throw unsupported("the normalizer Replace with a string as pattern", "a regular expression or an empty string")
            }
            return [.replace(pattern: Array(pattern.utf8), with: Array(try text(value, "content").utf8))]
        default:
            throw unsupported("the normalizers NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace and Sequence", "'\(type)'")
        }
    }

    // MARK: - Pre-tokenizers

    mutating func readPreTokenizer(_ value: JSONValue?) throws {
        for (index, step) in try flattened(value).enumerated() {
            guard !definition.isByteLevel else { throw unsupported("ByteLevel as the last pre-tokenizer", "one before others") }
            try readPreTokenizer(step, isFirst: index == 0)
        }
    }

    private func flattened(_ value: JSONValue?) throws -> [JSONValue] {
        guard let value, !value.isNull else { return [] }
        guard try text(value, "type") == "Sequence" else { return [value] }
        return try list(value, "pretokenizers").flatMap { try flattened($0) }
    }

    private mutating func readPreTokenizer(_ value: JSONValue, isFirst: Bool) throws {
        let type = try text(value, "type")
        switch type {
        case "ByteLevel":
            definition.isByteLevel = true
            if try flag(value, "add_prefix_space", default: true) {
                guard isFirst else { throw unsupported("add_prefix_space in the first pre-tokenizer", "it behind others") }
                definition.preparation = .leadingSpace
            }
            if try flag(value, "use_regex", default: true) { definition.splits.append(.pattern(.gpt2, .isolated, isInverted: false)) }
        case "Split": definition.splits.append(try split(value))
        case "Digits":
            let pattern: SplitPattern = try flag(value, "individual_digits", default: false) ? .numberCharacters : .numbers
            definition.splits.append(.pattern(pattern, .isolated, isInverted: false))
        case "WhitespaceSplit": definition.splits.append(.pattern(.whitespace, .removed, isInverted: false))
        case "Metaspace":
            guard isFirst else { throw unsupported("Metaspace as the first pre-tokenizer", "it behind others") }
            definition.preparation = .symbol(try spacePrefix(value))
            if try flag(value, "split", default: true) { definition.splits.append(.beforeSpaceSymbol) }
        default:
            throw unsupported("the pre-tokenizers ByteLevel, Split, Digits, WhitespaceSplit, Metaspace and Sequence", "'\(type)'")
        }
    }

    private func split(_ value: JSONValue) throws -> BPEDefinition.Split {
        let name = try text(value, "behavior")
        guard let behavior = BPEDefinition.SplitBehavior(rawValue: name) else {
            throw unsupported("the split behavior \(BPEDefinition.SplitBehavior.allCases.map(\.rawValue).joined(separator: ", "))", "'\(name)'")
        }
        let isInverted = try flag(value, "invert", default: false)
        if let string = value["pattern"]?["String"]?.stringValue, !string.isEmpty {
            let exact = string.unicodeScalars.map {
                SplitPattern.Expression.set(ScalarSet(ranges: [$0.value...$0.value]), minimum: 1, maximum: 1, isPossessive: false)
            }
            return .pattern(SplitPattern(.sequence(exact)), behavior, isInverted: isInverted)
        }
        guard let pattern = value["pattern"]?["Regex"]?.stringValue else { throw inconsistent("a Regex or String in 'pattern'", value["pattern"]) }
        do {
            return .pattern(try SplitPattern(parsing: pattern), behavior, isInverted: isInverted)
        } catch {
            throw unsupported(
                "a split pattern of sets, repetitions, groups and lookahead for one set",
                "\(error.found) at character \(error.offset) of the pattern")
        }
    }

    /// Metaspace as pre-tokenizer and as decoder.
    private func spacePrefix(_ value: JSONValue) throws -> BPEDefinition.SpacePrefix {
        guard Array(try text(value, "replacement").utf8) == SpaceSymbol.bytes else {
            throw unsupported("U+2581 as the replacement of Metaspace", Self.describe(value["replacement"]))
        }
        guard let scheme = value["prepend_scheme"], !scheme.isNull else {
            return try flag(value, "add_prefix_space", default: true) ? .always : .never
        }
        switch scheme.stringValue {
        case "never": return .never
        case "first": return .first
        case "always": return .always
        default: throw inconsistent("the prepend_scheme always, first or never", scheme)
        }
    }

    // MARK: - Decoders

    mutating func readDecoder(_ value: JSONValue?) throws {
        guard let value, !value.isNull, try text(value, "type") != "ByteLevel" else { return }
        var isFused = false
        let parts = try text(value, "type") == "Sequence" ? try list(value, "decoders") : [value]
        for part in parts {
            let type = try text(part, "type")
            switch type {
            case "ByteLevel" where definition.isByteLevel: break
            case "ByteFallback": definition.decoding.joinsByteTokens = true
            case "Fuse": isFused = true
            case "Metaspace":
                definition.decoding.replacesSpaceSymbols = true
                if try spacePrefix(part) != .never { definition.decoding.leadingSpace = .droppedFromFirstToken }
            case "Replace" where part["pattern"]?["String"]?.stringValue.map({ Array($0.utf8) }) == SpaceSymbol.bytes && part["content"] == " ":
                definition.decoding.replacesSpaceSymbols = true
            case "Strip" where isFused && part["content"] == " " && (part["stop"]?.intValue ?? 0) == 0:
                guard let count = part["start"]?.intValue, count >= 0 else { throw inconsistent("a count in 'start'", part["start"]) }
                definition.decoding.leadingSpace = .stripped(count)
            default:
                throw unsupported(
                    "the decoders ByteLevel, ByteFallback, Fuse, Metaspace, Replace of U+2581 by a space, Strip of leading spaces behind Fuse", "'\(type)'")
            }
        }
    }
}

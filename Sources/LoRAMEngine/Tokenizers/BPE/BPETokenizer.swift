import Synchronization

/// A byte pair tokenizer as tokenizer.json and tiktoken files describe it: Llama 3's byte-level one, Llama 2's with byte fallback,
/// and others of their kinds. Gives the ids that Hugging Face's tokenizers and tiktoken give.
///
/// A text is cut at added tokens; each section is normalized, split into words by patterns, and each word's bytes (or characters)
/// merge: the pair of the lowest rank first, the leftmost of equals.
/// Sources: https://github.com/huggingface/tokenizers, https://github.com/openai/tiktoken
public final class BPETokenizer: Tokenizer {
    public let vocabularySize: Int
    public let bosTokenID: Int32?
    public let eosTokenID: Int32?
    public let appendsEOS: Bool

    let definition: BPEDefinition
    /// Ids of the tokens of the model by their text; added ones are found by the matchers alone.
    let words: PieceTable
    let pairs: PairTable
    /// [256] of a byte-level vocabulary: the token of each byte, -1 for none.
    let byteIDs: [Int32]
    let added: AddedTokenMatcher
    /// Those looked for in normalized text.
    let addedNormalized: AddedTokenMatcher
    /// [vocabularySize + 1]: where each token's text starts in `texts`.
    let textStarts: [Int32]
    let texts: [UInt8]
    let kinds: [Kind]
    /// No merge gives a token with U+2581 behind another character: words can be merged one by one.
    let cutsAtSpaceSymbols: Bool
    let allowsCuts: Bool
    let tokensPerByte: Int

    enum Kind: UInt8 { case missing, ordinary, byte, special }

    private let idleWorkspaces = Mutex<[BPEWorkspace]>([])

    /// - Throws: `TokenizerError.inconsistent`
    init(_ definition: BPEDefinition, path: String) throws {
        let added = definition.added
        let largest = max(definition.tokens.map(\.id).max() ?? -1, added.map(\.id).max() ?? -1)
        guard !definition.tokens.isEmpty, largest < 1 << 24, definition.merges.count <= PairTable.maximumCount else {
            throw TokenizerError.inconsistent(
                path: path, expected: "1 ... \(1 << 24) tokens and merges", found: "ids up to \(largest), \(definition.merges.count) merges")
        }
        vocabularySize = Int(largest) + 1
        bosTokenID = definition.bosTokenID
        eosTokenID = definition.eosTokenID
        appendsEOS = definition.appendsEOS
        words = PieceTable(definition.tokens.filter { $0.isReachable && !$0.bytes.isEmpty }.map { (key: $0.bytes[...], value: $0.id) })
        pairs = PairTable(definition.merges)

        var byteIDs = [Int32](repeating: -1, count: definition.isByteLevel ? 256 : 0)
        for token in definition.tokens where definition.isByteLevel && token.isReachable && token.bytes.count == 1 { byteIDs[Int(token.bytes[0])] = token.id }
        self.byteIDs = byteIDs

        self.added = AddedTokenMatcher(added.filter { !$0.isNormalized })
        addedNormalized = AddedTokenMatcher(
            added.filter(\.isNormalized).map { token in
                var token = token
                token.content = definition.normalizers.reduce(token.content) { $1.apply($0, isContinuation: false) }
                return token
            })

        var contents = [[UInt8]](repeating: [], count: vocabularySize)
        var kinds = [Kind](repeating: .missing, count: vocabularySize)
        for token in definition.tokens { (contents[Int(token.id)], kinds[Int(token.id)]) = (token.bytes, .ordinary) }
        for id in definition.fallbackBytes where id >= 0 { kinds[Int(id)] = .byte }
        for token in added { (contents[Int(token.id)], kinds[Int(token.id)]) = (token.content, token.isSpecial ? .special : .ordinary) }
        self.kinds = kinds
        textStarts = contents.reduce(into: [0]) { $0.append($0[$0.count - 1] + Int32($1.count)) }
        texts = Array(contents.joined())

        let hasAllBytes = definition.isByteLevel || (definition.fallbackBytes.count == 256 && !definition.fallbackBytes.contains(-1))
        cutsAtSpaceSymbols =
            !definition.isByteLevel && !definition.looksUpWords && hasAllBytes
            && !definition.merges.contains { SpaceSymbol.occursAfterOther(contents[Int($0.result)][...]) }
        let splitsAllowCuts = definition.splits.allSatisfy {
            if case .pattern(let pattern, _, _) = $0 { pattern.endsAtSpaces } else { true }
        }
        allowsCuts =
            self.added.allowsCuts && addedNormalized.allowsCuts && definition.normalizers.allSatisfy(\.allowsCuts) && hasAllBytes
            && splitsAllowCuts && (cutsAtSpaceSymbols || (definition.isByteLevel && !definition.splits.isEmpty))
        tokensPerByte = Self.tokensPerByte(definition, words, shortest: min(self.added.shortestCount, addedNormalized.shortestCount))
        self.definition = definition
    }

    public func maximumTokenCount(utf8Count: Int) -> Int {
        tokensPerByte * (utf8Count + 1)
    }

    /// A space may become a symbol of three bytes, and each section may get one in front.
    private static func tokensPerByte(_ definition: BPEDefinition, _ words: PieceTable, shortest: Int) -> Int {
        let symbolCount = SpaceSymbol.bytes.withUnsafeBufferPointer { words.lookup($0.baseAddress!, 3) } >= 0 ? 1 : 3
        var perByte = 1
        var prefix = 0
        for normalizer in definition.normalizers {
            if case .replace(_, SpaceSymbol.bytes) = normalizer { perByte *= symbolCount } else { perByte *= normalizer.maximumExpansion }
            if case .prepend(let text) = normalizer { prefix += text == SpaceSymbol.bytes ? symbolCount : text.count }
        }
        switch definition.preparation {
        case .none: break
        case .leadingSpace: prefix += 1
        case .symbol:
            prefix += symbolCount
            perByte *= symbolCount
        }
        return shortest > prefix ? max(perByte, prefix) : perByte + prefix
    }

    /// Runs `body` with a workspace that no other call uses.
    func withWorkspace<Result>(_ body: (BPEWorkspace) -> Result) -> Result {
        let workspace = idleWorkspaces.withLock { $0.popLast() } ?? BPEWorkspace()
        let result = body(workspace)
        workspace.queue.trim()
        idleWorkspaces.withLock { $0.append(workspace) }
        return result
    }
}

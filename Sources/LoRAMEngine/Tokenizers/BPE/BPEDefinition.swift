/// All that a file says about a byte pair tokenizer, whichever format it has.
struct BPEDefinition: Sendable {
    struct Token: Sendable {
        var id: Int32
        /// What the token is in a text. For a byte-level vocabulary raw bytes, not their stand-ins.
        var bytes: [UInt8]
        /// Can come out of a text. Not so a byte-level token that is spelt with characters that stand for no byte.
        var isReachable = true
    }

    struct AddedToken: Sendable {
        var id: Int32
        var content: [UInt8]
        /// Not part of a text that is decoded.
        var isSpecial: Bool
        /// Looked for in the normalized text instead of the text as it is.
        var isNormalized = false
        var singleWord = false
        /// White space before or behind belongs to the token.
        var stripsLeft = false
        var stripsRight = false
    }

    /// What is done to the text of a section before it is split.
    enum Preparation: Equatable, Sendable {
        case none
        /// A space goes in front unless there is one.
        case leadingSpace
        /// Spaces become `symbol`, and one goes in front unless there is one: never, before the first section, before each.
        case symbol(SpacePrefix)
    }

    enum SpacePrefix: Sendable { case never, first, always }

    enum Split: Sendable {
        case pattern(SplitPattern, SplitBehavior, isInverted: Bool)
        /// Before every U+2581.
        case beforeSpaceSymbol
    }

    enum SplitBehavior: String, CaseIterable, Sendable {
        case removed = "Removed"
        case isolated = "Isolated"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    /// How the tokens of a text become one.
    struct Decoding: Sendable {
        enum LeadingSpace: Equatable, Sendable {
            case kept
            /// So many spaces at the start of the whole go.
            case stripped(Int)
            /// All space symbols of the first token go.
            case droppedFromFirstToken
        }

        var replacesSpaceSymbols = false
        var leadingSpace = LeadingSpace.kept
        /// `<0x0A>` tokens are bytes; a run of them that is no UTF-8 becomes as many U+FFFD.
        var joinsByteTokens = false
    }

    /// Distinct ids.
    var tokens: [Token] = []
    var merges: [PairTable.Merge] = []
    var added: [AddedToken] = []
    var normalizers: [TextNormalizer] = []
    var preparation = Preparation.none
    var splits: [Split] = []
    /// Every byte is a symbol to begin with; otherwise every character is.
    var isByteLevel = true
    /// A word that is a token is not merged.
    var looksUpWords = false
    /// Tokens of single bytes for characters without one, by byte; empty for none. Not for byte-level vocabularies.
    var fallbackBytes: [Int32] = []
    var unknownID: Int32?
    var fusesUnknown = false
    var decoding = Decoding()
    /// What the post-processor puts around a text.
    var bosTokenID: Int32?
    var eosTokenID: Int32?
    var appendsEOS = false
}

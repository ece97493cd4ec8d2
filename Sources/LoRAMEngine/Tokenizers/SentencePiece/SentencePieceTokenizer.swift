import Synchronization

/// A SentencePiece BPE model, as Llama 1 and 2 use it. Gives the ids that the reference implementation gives.
///
/// Encoding is normalization (spaces become U+2581, one goes in front), a cut into words where no piece can span the cut, and byte
/// pair merging of each word: the two neighbours whose union is the piece of the highest score merge first, the leftmost of
/// equals; what is no piece in the end becomes byte tokens. Source: https://github.com/google/sentencepiece
///
/// Text between special strings is encoded as if each part were a text of its own, with its own leading space: so do Hugging
/// Face's LlamaTokenizer (slow in legacy mode, and fast) and llama.cpp.
public final class SentencePieceTokenizer: Tokenizer {
    public let vocabularySize: Int
    public let bosTokenID: Int32?
    public let eosTokenID: Int32?

    let model: SentencePieceModel
    /// Ids of the ordinary pieces by their text. Reserved ones never come from text, not even from a single character.
    let ordinaryPieces: PieceTable
    /// [pieceCount]
    let scores: [Float]
    /// Strings of control and unknown tokens.
    let specials: StringMatcher
    let userDefined: StringMatcher
    let hasUnusedPieces: Bool
    /// No piece holds U+2581 behind another character: words can be merged one by one.
    let wordsAreIndependent: Bool
    /// The last bytes of special strings: behind one of these, no cut. nil if special strings rule out cuts.
    let bytesBeforeNoCut: [Bool]?
    /// See `maximumTokenCount`.
    let tokensPerByte: Int

    private let idleWorkspaces = Mutex<[MergeWorkspace]>([])

    /// - Parameters:
    ///   - bytes: contents of a tokenizer.model.
    ///   - path: only named in errors.
    /// - Throws: `TokenizerError`
    public init(bytes: [UInt8], path: String) throws {
        let model = try SentencePieceModel(parsing: bytes, path: path)
        self.model = model
        vocabularySize = model.pieceCount
        scores = model.scores

        let ordinary = (0..<model.pieceCount).filter(model.isOrdinary).map { (key: model.bytes(of: $0), value: Int32($0)) }
        ordinaryPieces = PieceTable(ordinary)

        func controlID(_ text: [UInt8]) -> Int32? {
            (0..<model.pieceCount).first { model.kinds[$0] == .control && model.bytes(of: $0) == text[...] }.map(Int32.init)
        }
        bosTokenID = controlID(model.settings.bosPiece)
        eosTokenID = controlID(model.settings.eosPiece)

        func strings(_ kinds: Set<SentencePieceModel.PieceKind>) -> [(bytes: ArraySlice<UInt8>, id: Int32)] {
            (0..<model.pieceCount).filter { kinds.contains(model.kinds[$0]) }.map { (model.bytes(of: $0), Int32($0)) }
        }
        specials = StringMatcher(strings([.control, .unknown]))
        userDefined = StringMatcher(strings([.userDefined]))
        hasUnusedPieces = model.kinds.contains(.unused)
        wordsAreIndependent =
            model.settings.escapesWhitespace && userDefined.isEmpty
            && !ordinary.contains { SpaceSymbol.occursAfterOther($0.key) }

        let specialStrings = specials.strings
        if specialStrings.contains(where: { $0.contains(UInt8(ascii: " ")) }) {
            bytesBeforeNoCut = nil
        } else {
            var isLast = [Bool](repeating: false, count: 256)
            for string in specialStrings { isLast[Int(string[string.count - 1])] = true }
            bytesBeforeNoCut = isLast
        }
        // A space is one byte, yet three byte tokens if U+2581 is no piece. A special string of one byte may bring a leading
        // space with it.
        let tokensPerSpace = model.byteIDs == nil || ordinary.contains { $0.key == SpaceSymbol.bytes[...] } ? 1 : 3
        tokensPerByte = specialStrings.contains { $0.count < 2 } ? 1 + tokensPerSpace : tokensPerSpace
    }

    public func maximumTokenCount(utf8Count: Int) -> Int {
        tokensPerByte * (utf8Count + 1)
    }

    /// Runs `body` with a workspace that no other call uses.
    func withWorkspace<Result>(_ body: (MergeWorkspace) -> Result) -> Result {
        let workspace = idleWorkspaces.withLock { $0.popLast() } ?? MergeWorkspace()
        let result = body(workspace)
        workspace.trim()
        idleWorkspaces.withLock { $0.append(workspace) }
        return result
    }
}

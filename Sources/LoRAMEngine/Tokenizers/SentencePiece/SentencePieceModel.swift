/// The contents of a SentencePiece `tokenizer.model`: the pieces with their scores, and the settings that encoding needs.
struct SentencePieceModel: Sendable {
    /// `ModelProto.SentencePiece.Type`
    enum PieceKind: UInt8, Sendable {
        case normal = 1
        case unknown = 2
        /// `<s>`, `</s>`: has an id, but no text is ever encoded to it unless special strings are asked for.
        case control = 3
        /// Always one token wherever its string occurs.
        case userDefined = 4
        /// May arise while merging, but is taken apart again in the end.
        case unused = 5
        /// `<0x00>` ... `<0xFF>`
        case byte = 6
    }

    /// All piece strings one behind the other, each valid UTF-8 and not empty. Piece i is bytes `starts[i] ..< starts[i + 1]`.
    var text: [UInt8] = []
    /// [pieceCount + 1]
    var starts: [Int32] = [0]
    /// Finite; the highest merges first.
    var scores: [Float] = []
    var kinds: [PieceKind] = []

    var settings = Settings()
    /// Filled by validation.
    var unknownID: Int32 = 0
    /// Ids of the byte pieces 0x00 ... 0xFF; nil without byte fallback.
    var byteIDs: [Int32]?

    /// What of TrainerSpec and NormalizerSpec decides about encoding; initial values are the format's defaults.
    struct Settings: Sendable, Equatable {
        var modelType: UInt64 = 1
        var hasByteFallback = false
        var treatsWhitespaceAsSuffix = false
        var unknownSurface: [UInt8] = Array(" \u{2047} ".utf8)
        var bosPiece: [UInt8] = Array("<s>".utf8)
        var eosPiece: [UInt8] = Array("</s>".utf8)
        /// A space goes before the first word, so that it looks like any other.
        var addsDummyPrefix = true
        /// Leading, trailing and repeated spaces go away.
        var removesExtraWhitespace = true
        /// Spaces become U+2581.
        var escapesWhitespace = true
        var hasCharacterMap = false
        var hasDenormalizerMap = false
    }

    var pieceCount: Int { kinds.count }

    func bytes(of piece: Int) -> ArraySlice<UInt8> {
        text[Int(starts[piece])..<Int(starts[piece + 1])]
    }

    /// Pieces that text is encoded to, as opposed to reserved ones. Merging only makes these.
    func isOrdinary(_ piece: Int) -> Bool {
        switch kinds[piece] {
        case .normal, .userDefined, .unused: true
        case .unknown, .control, .byte: false
        }
    }
}

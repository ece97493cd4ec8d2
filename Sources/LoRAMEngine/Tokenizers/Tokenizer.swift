/// Turns text into token ids and back. Neither direction adds or removes BOS and EOS tokens on its own: whoever builds a sequence
/// (the data layer, generation) places them, once.
///
/// Conforming types are immutable to their users and may be called from many threads at once.
public protocol Tokenizer: Sendable {
    /// Ids are 0 ..< vocabularySize.
    var vocabularySize: Int { get }
    /// What a text starts with; nil where the vocabulary has no such token, or the tokenizer's own settings add none.
    var bosTokenID: Int32? { get }
    var eosTokenID: Int32? { get }
    /// The tokenizer itself ends a text with EOS (its post-processor does, or its settings), as few do.
    var appendsEOS: Bool { get }

    /// Appends the ids of `text` to `ids`.
    ///
    /// - Parameters:
    ///   - text: UTF-8, less than 2^29 bytes. Ill-formed sequences give some ids, never a trap.
    ///   - special: whether strings of special tokens (`<s>`, `</s>`) that occur in the text become their ids. They are spelt out
    ///     as ordinary text otherwise.
    ///   - isContinuation: `text` goes on behind a `splitPosition`: nothing that belongs to the start of a text is added.
    func encode(utf8 text: UnsafeBufferPointer<UInt8>, special: Bool, isContinuation: Bool, into ids: inout [Int32])

    /// The text of `ids`. Special tokens have none, bytes that form no character become U+FFFD, and so does an id outside the
    /// vocabulary.
    func decode(_ ids: [Int32]) -> String

    /// The first position p >= `minimum` (and < `text.count`) at which a text can be cut: encoding `text[..<p]` and then `text[p...]`
    /// with `isContinuation` gives the ids of the whole, with and without `special`. nil if no such place is found.
    ///
    /// Lets documents of any length be encoded in pieces, and re-encoded from the middle.
    func splitPosition(in text: UnsafeBufferPointer<UInt8>, from minimum: Int) -> Int?

    /// No text of so many bytes gives more tokens than this.
    func maximumTokenCount(utf8Count: Int) -> Int
}

extension Tokenizer {
    public var appendsEOS: Bool { false }

    /// The ids of `text`, without BOS and EOS.
    public func encode(_ text: String, special: Bool) -> [Int32] {
        var text = text
        var ids: [Int32] = []
        text.withUTF8 { encode(utf8: $0, special: special, isContinuation: false, into: &ids) }
        return ids
    }
}

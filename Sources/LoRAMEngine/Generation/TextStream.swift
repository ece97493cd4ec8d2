/// Turns tokens into text as they come, in whole characters.
///
/// What a token says depends on its neighbours: SentencePiece drops a text's first space, several byte tokens make one character. So a
/// short window of the tokens before is decoded with and without the new ones, and the difference is the new text.
package struct TextStream {
    /// Tokens of a prompt that the first new token may depend on.
    private static let context = 6
    /// More tokens than the bytes of any character: what is not UTF-8 by then never will be.
    private static let longestWait = 8
    /// Tokens without text, one after the other, after which the window is cut nevertheless.
    private static let longestWindow = 64

    private static let replacement = Array("\u{fffd}".utf8)

    private let tokenizer: any Tokenizer
    private var window: [Int32]
    /// The window's first tokens, whose text was given out, and that text.
    private var shownCount: Int
    private var shownText: [UInt8]

    /// - Parameter prompt: what the text follows.
    package init(tokenizer: any Tokenizer, prompt: [Int32]) {
        self.tokenizer = tokenizer
        // Not from within a character of several tokens: it would spoil those behind it.
        let windows = (0..<4).map { Array(prompt.suffix(Self.context + $0)) }
        window = windows.first { !tokenizer.decode($0).hasPrefix("\u{fffd}") } ?? windows[0]
        shownCount = window.count
        shownText = Array(tokenizer.decode(window).utf8)
    }

    /// The text that is complete with this token: UTF-8, possibly none.
    package mutating func append(_ id: Int32) -> [UInt8] {
        window.append(id)
        let text = Array(tokenizer.decode(window).utf8)
        if text.suffix(3).elementsEqual(Self.replacement), window.count - shownCount < Self.longestWait { return [] }
        return take(text)
    }

    /// What was held back, at the end of the text.
    package mutating func finish() -> [UInt8] {
        window.count > shownCount ? take(Array(tokenizer.decode(window).utf8)) : []
    }

    private mutating func take(_ text: [UInt8]) -> [UInt8] {
        let new = Array(window[shownCount...]), alone = Array(tokenizer.decode(new).utf8)
        let piece = text.starts(with: shownText) ? Array(text[shownText.count...]) : alone
        // Tokens without text, such as special ones, do not stand for those before them.
        if !alone.isEmpty || window.count > Self.longestWindow {
            window = new
            shownText = alone
        } else {
            shownText = text
        }
        shownCount = window.count
        return piece
    }
}

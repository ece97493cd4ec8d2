/// One completion as it grows: tokens in, text out, until something ends it. What it does depends on the tokens alone, so every stage of
/// a pipeline can follow it by itself.
package struct CompletionProgress {
    private let maxTokens: Int
    private let stopTokenIDs: Set<Int32>
    private var stream: TextStream
    private var stops: StopStrings
    package private(set) var tokenIDs: [Int32] = []
    private var text: [UInt8] = []
    /// nil while it goes on.
    package private(set) var end: Completion.End?

    package init(prompt: [Int32], settings: GenerationSettings, stopTokenIDs: Set<Int32>, tokenizer: any Tokenizer) {
        maxTokens = settings.maxTokens
        self.stopTokenIDs = stopTokenIDs
        stream = TextStream(tokenizer: tokenizer, prompt: prompt)
        stops = StopStrings(settings.stopStrings)
    }

    /// The text, in whole characters, that is certain with this token.
    package mutating func append(_ id: Int32) -> String {
        precondition(end == nil)
        var piece: [UInt8] = []
        if stopTokenIDs.contains(id) {
            end = .stopToken
        } else {
            tokenIDs.append(id)
            piece = stops.append(stream.append(id))
            if !stops.isStopped, tokenIDs.count == maxTokens { end = .maxTokens }
        }
        if end != nil { piece += stops.append(stream.finish()) + stops.finish() }
        if stops.isStopped { end = .stopString }
        text += piece
        return String(decoding: piece, as: UTF8.self)
    }

    package func completion(prompt: Int, sample: Int) -> Completion? {
        end.map { Completion(prompt: prompt, sample: sample, tokenIDs: tokenIDs, text: String(decoding: text, as: UTF8.self), end: $0) }
    }
}

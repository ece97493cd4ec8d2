import Foundation
import LoRAMEngine

/// Shows completions on stdout as they grow, one after the other in their order: the first that is not finished piece by piece, those
/// behind it when its turn comes. Several have a heading each.
public final class CompletionPrinter {
    private struct Text {
        var pending = ""
        var isComplete = false
    }

    private let sampleCount: Int
    private let write: (String) -> Void
    private var completionCount = 1
    /// By number, from the first that is not finished.
    private var texts: [Int: Text] = [:]
    private var current = 0
    private var isBegun = false

    /// - Parameter write: to this process's stdout unless given.
    public init(sampleCount: Int, write: @escaping (String) -> Void = { FileHandle.standardOutput.write(Data($0.utf8)) }) {
        self.sampleCount = sampleCount
        self.write = write
    }

    /// How many there will be.
    public func begin(_ completionCount: Int) { self.completionCount = completionCount }

    public func show(_ piece: TextPiece) {
        let number = piece.prompt * sampleCount + piece.sample
        texts[number, default: Text()].pending += piece.text
        texts[number]!.isComplete = piece.isLast
        while let text = texts[current] {
            put(text.pending)
            texts[current]!.pending = ""
            guard text.isComplete else { return }
            end()
        }
    }

    /// Shows what was not shown yet, such as what other replicas made.
    public func finish(_ completions: [Completion]) {
        for completion in completions[min(current, completions.count)...] {
            put(completion.text)
            end()
        }
    }

    private func put(_ text: String) {
        if !isBegun, completionCount > 1 { write("[\(current / sampleCount + 1).\(current % sampleCount + 1)] ") }
        isBegun = true
        write(text)
    }

    private func end() {
        write("\n")
        texts[current] = nil
        current += 1
        isBegun = false
    }
}

extension TextGenerator.Statistics: CustomStringConvertible {
    /// `64 tokens behind 12 in 3.2 s: 20.1 tokens/s`
    public var description: String {
        "\(generatedTokens) tokens behind \(promptTokens) of prompts in \(Formatting.seconds(seconds)): \(Formatting.fixed(tokensPerSecond, decimals: 1)) tokens/s"
    }
}

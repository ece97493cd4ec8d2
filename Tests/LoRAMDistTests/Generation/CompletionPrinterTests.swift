import LoRAMDist
import LoRAMEngine
import Testing

@Suite struct CompletionPrinterTests {
    private final class Screen { var text = "" }

    private func printer(_ completionCount: Int, samples: Int = 1) -> (CompletionPrinter, Screen) {
        let screen = Screen(), printer = CompletionPrinter(sampleCount: samples) { screen.text += $0 }
        printer.begin(completionCount)
        return (printer, screen)
    }

    @Test func oneTextComesPieceByPiece() {
        let (printer, screen) = printer(1)
        for (text, isLast) in [("Once", false), (" upon", false), ("", true)] {
            printer.show(TextPiece(prompt: 0, sample: 0, text: text, isLast: isLast))
            #expect(screen.text.hasSuffix(text + (isLast ? "\n" : "")))
        }
        printer.finish([Completion(prompt: 0, sample: 0, tokenIDs: [], text: "Once upon", end: .maxTokens)])
        #expect(screen.text == "Once upon\n")
    }

    /// In their order, whatever comes first; what others made, at the end.
    @Test func severalTextsDoNotMix() {
        let (printer, screen) = printer(6, samples: 2)
        let pieces = [(0, 1, "b", false), (0, 0, "a", false), (2, 0, "e", true), (0, 1, "B", true), (0, 0, "A", true), (2, 1, "f", true)]
        let shown = ["", "[1.1] a", "[1.1] a", "[1.1] a", "[1.1] aA\n[1.2] bB\n", "[1.1] aA\n[1.2] bB\n"]
        for ((prompt, sample, text, isLast), expected) in zip(pieces, shown) {
            printer.show(TextPiece(prompt: prompt, sample: sample, text: text, isLast: isLast))
            #expect(screen.text == expected)
        }
        let texts = ["aA", "bB", "c", "d", "e", "f"]
        printer.finish(texts.enumerated().map { Completion(prompt: $0 / 2, sample: $0 % 2, tokenIDs: [], text: $1, end: .stopToken) })
        #expect(screen.text == "[1.1] aA\n[1.2] bB\n[2.1] c\n[2.2] d\n[3.1] e\n[3.2] f\n")
    }
}

import ArgumentParser
import Foundation
import LoRAMDist
import LoRAMEngine

struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "What a dataset looks like to the trainer: counts, lengths, the first samples as tokens.",
        discussion: """
              loram-mpi data alpaca.json --tokenizer llama-2-7b-hf
              loram-mpi data chats.jsonl.zst --tokenizer llama-3.1-8b --template llama-3 --length 2048 --samples 5
              loram-mpi data corpus.txt --tokenizer llama-2-7b-hf --packing --json

            Learnt tokens are green, or between [[ and ]] where there is no terminal.
            """)

    @Argument(help: "Dataset: JSONL, JSON or text, also .gz and .zst.") var file: String
    @Option(help: "Tokenizer file, or a directory with one; token ids need none.") var tokenizer: String?
    @Option(help: "alpaca, conversations, messages, openorca, prompt, text, input_ids, plain or auto.") var format = "auto"
    @Option(help: "alpaca, llama-2, llama-3, chatml or none.") var template = "alpaca"
    @Option(help: "Tokens of a sample at most.") var length = 512
    @Flag(help: "Several documents in a sample.") var packing = false
    @Flag(help: "Prompts are learnt, too.") var allTokens = false
    @Option(help: "Samples to show.") var samples = 2
    @Option(help: "Samples to look at for lengths.") var limit = 100_000
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        guard samples >= 0, limit >= 1 else { throw ValidationError("expected --samples from 0 and --limit from 1") }
    }

    func run() throws {
        try Job.runOnOneProcess {
            let configuration = DataConfiguration(
                sources: [.init(path: file, format: try DatasetFormat.named(format))], template: try PromptTemplate.named(template), length: length,
                packing: packing, shuffle: false, answersOnly: !allTokens)
            let report = try DataReport(
                configuration, tokenizer: try tokenizer.map { try TokenizerLoader.load(path: $0) }, shown: samples, limit: limit)
            if json { report.json.printLine() } else { print(report.text(colored: isatty(STDOUT_FILENO) == 1)) }
        }
    }
}

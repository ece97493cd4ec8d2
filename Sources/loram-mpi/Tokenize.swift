import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Token ids of texts: one {\"ids\": [...]} for each line's `text`.",
        discussion: """
              loram-mpi tokenize --tokenizer llama-2-7b-hf texts.jsonl

            Strings of special tokens in a text are recognised; BOS and EOS are added as the tokenizer adds them, unless --no-special. \
            Tokenizers: tokenizer.json (BPE), SentencePiece BPE and tiktoken (tokenizer.model).
            """)

    @Option(help: "Tokenizer file, or a directory with one.") var tokenizer: String
    @Flag(help: "No BOS in front, no EOS behind.") var noSpecial = false
    @Argument(help: "JSONL file with `text` in each line.") var file: String

    func run() throws {
        try Job.runOnOneProcess {
            try TokenizeRun.run(tokenizer: tokenizer, file: file, addsBOS: !noSpecial) { print($0) }
        }
    }
}

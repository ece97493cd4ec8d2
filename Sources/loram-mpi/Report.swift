import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One self-contained HTML page about one or several runs.",
        discussion: """
              loram-mpi report runs/x
              loram-mpi report runs/rand runs/stru --output compared.html
              loram-mpi report runs/x --json

            Curves of loss, perplexity, speed and memory (several runs overlaid), a table of the runs, and the pipeline of a step with \
            each stage's memory as planned, bubble and largest rank as planned and as measured, where the recipe names parallel.stages and the \
            model is still there. --json prints these pairs.
            """)

    @Argument(help: "Run directories.") var runs: [String]
    @Option(help: "File to write. Default: report.html in the first directory.") var output: String?
    @Flag(help: "Print what was foretold and measured as JSON, in place of the page's path.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            let page = ReportPage(try runs.map { try RunRecord($0) })
            let path = output ?? RunPaths(runs[0]).report
            try OutputFile.write(Array(page.html.utf8), to: path)
            if json { page.json.printLine() } else { print(path) }
        }
    }
}

import ArgumentParser
import LoRAMDist
import LoRAMEngine

struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One self-contained HTML page about one or several runs, or a study.",
        discussion: """
              loram-mpi report runs/x
              loram-mpi report runs/rand runs/stru --output compared.html
              loram-mpi report runs/x --json
              loram-mpi report runs/study

            Curves of loss, perplexity, speed and memory (several runs overlaid), a table of the runs, and the pipeline of a step with \
            each stage's memory as planned, bubble and largest rank as planned and as measured, where the recipe names parallel.stages and the \
            model is still there. --json prints these pairs. Of a study (study.jsonl, by cluster/study/run.sh) its plot and its table, which is \
            also written beside it as study.md.
            """)

    @Argument(help: "Directories of runs and studies.") var runs: [String]
    @Option(help: "File to write. Default: report.html in the first directory.") var output: String?
    @Flag(help: "Print what was foretold and measured as JSON, in place of the page's path.") var json = false

    func run() throws {
        try Job.runOnOneProcess {
            let studies = runs.filter(StudyRecord.isPresent)
            let records = try studies.map { try StudyRecord(directory: $0) }
            for (directory, study) in zip(studies, records) { try FileSystem.write(study.markdown, to: "\(directory)/\(StudyRecord.tableName)") }
            let page = ReportPage(try runs.filter { !studies.contains($0) }.map { try RunRecord($0) }, studies: records)
            let path = output ?? RunPaths(runs[0]).report
            try OutputFile.write(Array(page.html.utf8), to: path)
            if json { page.json.printLine() } else { print(path) }
        }
    }
}

import Foundation
import TestSupport
import Testing

/// `report` of a study.
struct StudyReportTests {
    static let rows = [
        #"{"seed":1,"method":"base","aligned":false,"arm":"base","rate":null,"validation_nll":null,"nll":3.0,"perplexity":20.1,"tokens":9}"#,
        #"{"seed":1,"method":"base","aligned":false,"arm":"lora","rate":0.01,"validation_nll":1.0,"nll":1.0,"perplexity":2.7,"tokens":9}"#,
        #"{"seed":1,"method":"rand","aligned":false,"arm":"recovered","rate":0.01,"validation_nll":1.0,"nll":1.4,"perplexity":4.1,"tokens":9}"#,
        #"{"seed":2,"method":"rand","aligned":false,"arm":"recovered","rate":0.02,"validation_nll":1.0,"nll":1.6,"perplexity":5.0,"tokens":9}"#,
        #"{"seed":1,"method":"rand","aligned":false,"arm":"unrecovered","rate":0.01,"validation_nll":1.0,"nll":2.0,"perplexity":7.4,"tokens":9}"#,
    ]

    @Test func tableAndPlot() throws {
        let folder = try TemporaryDirectory()
        try (Self.rows.joined(separator: "\n") + "\n").write(toFile: folder.path("study.jsonl"), atomically: true, encoding: .utf8)
        let outcome = try CommandRun.run(["report", folder.path])
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let table = try String(contentsOfFile: folder.path("study.md"), encoding: .utf8), page = try String(contentsOfFile: folder.path("report.html"), encoding: .utf8)
        // Mean 1.5, sample deviation 0.1414; three quarters of what LoRA gains.
        #expect(table.contains("| rand | no | 1.500 +- 0.141 (4.48) | 2.000 (7.39) | - | 0.750 | 0.01 0.02; 0.01 |"), "\(table)")
        #expect(page.components(separatedBy: "<circle").count == 3 && page.contains("LoRA on the whole model"))
    }

    @Test(arguments: ["", "{", #"{"seed":1,"method":"rand","aligned":false,"arm":"other","nll":1}"#, #"{"seed":1,"method":"rand","aligned":1,"arm":"naive","nll":1}"#])
    func whatIsNoRowIsOneLine(_ text: String) throws {
        let folder = try TemporaryDirectory()
        try text.write(toFile: folder.path("study.jsonl"), atomically: true, encoding: .utf8)
        let outcome = try CommandRun.run(["report", folder.path])
        #expect(outcome.exitCode == 65 && outcome.ownErrorLines.count == 1 && outcome.standardError.contains("line 1"), "\(outcome.standardError)")
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `report`: the HTML page of runs.
struct RunReportTests {
    private func run(_ project: Project, _ name: String, _ more: [(String, String)] = []) throws -> String {
        let output = project.path(name)
        let outcome = try CommandRun.run(
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("data.train", "[{path: \(project.tokens)}]"),
                    ("data.evaluation", "[{name: 'a <b>', path: \(project.tokens)}]"), ("data.length", "24"), ("batch.global", "4"),
                    ("batch.micro", "2"), ("schedule.steps", "4"), ("evaluation.every", "2"), ("parallel.stages", "1"),
                ] + more))
        try #require(outcome.exitCode == 0, "\(outcome.standardError)")
        return output
    }

    @Test func aPageHoldsAllItShows() throws {
        let project = try Project()
        let first = try run(project, "first & best"), second = try run(project, "second", [("seed", "7")])
        let alone = try CommandRun.run(["report", first])
        #expect(alone.exitCode == 0 && alone.outputLines == ["\(first)/report.html"], "\(alone.standardError)")
        let page = project.path("both.html")
        #expect(try CommandRun.run(["report", first, second, "--output", page]).exitCode == 0)
        let one = try String(contentsOfFile: "\(first)/report.html", encoding: .utf8), both = try String(contentsOfFile: page, encoding: .utf8)
        #expect(one.contains("<h1>first &amp; best</h1>") && one.contains("perplexity, a &lt;b&gt;") && one.contains("class=\"timeline\""))
        for text in [one, both] {
            // Nothing from elsewhere, nothing that runs, and tags that close.
            for word in ["http:", "https:", "<script", "url(", "@import", "src="] { #expect(!text.contains(word), "\(word)") }
            for tag in ["svg", "table", "section", "figure", "ul"] {
                #expect(text.components(separatedBy: "<\(tag)").count == text.components(separatedBy: "</\(tag)>").count, "\(tag)")
            }
            #expect(!text.contains("nan") && !text.contains("inf\""))
        }
        // The loss of both runs, four points each.
        let loss = try #require(both.components(separatedBy: "<figcaption>loss</figcaption>").last?.components(separatedBy: "</figure>").first)
        #expect(loss.components(separatedBy: "<polyline").count == 3 && loss.matches(of: #/[\d.]+,[\d.]+/#).count == 8)
    }

    @Test func whatIsNoRunIsOneLine() throws {
        let project = try Project()
        let outcome = try CommandRun.run(["report", project.model])
        #expect(outcome.exitCode == 65 && outcome.ownErrorLines.count == 1 && outcome.standardError.contains("metrics"), "\(outcome.standardError)")
        #expect(!FileManager.default.fileExists(atPath: "\(project.model)/report.html"))
    }
}

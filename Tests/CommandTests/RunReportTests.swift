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

    /// One micro-batch an update: two stages take turns, and each waits about half of the time.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func foretoldBesideMeasured() throws {
        let project = try Project(hidden: 64), output = project.path("run")
        let outcome = try CommandRun.run(
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("data.train", "[{path: \(project.tokens)}]"),
                    ("data.length", "24"), ("batch.global", "16"), ("batch.micro", "16"), ("schedule.steps", "6"), ("parallel.stages", "2"),
                    ("parallel.replicas", "1"), ("parallel.threads", "1"), ("parallel.recompute_ahead", "false"),
                ]), ranks: 2)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let run = RunOutput(path: output)
        for (bubble, wait) in zip(try run.numbers("bubble"), zip(try run.numbers("wait_seconds"), try run.numbers("step_seconds"))) {
            #expect(bubble > 0.25 && bubble < 0.9 && wait.0 < wait.1 && wait.0 / wait.1 > 0.25, "\(bubble) \(wait)")
        }
        let report = try CommandRun.run(["report", output, "--json"])
        let pair = try #require(JSONValue.parse(report.standardOutput)[0])
        #expect(pair["phase"] == "train" && abs(pair["bubble"]!["foretold"]!.doubleValue! - 0.5) < 0.02)
        #expect(pair["bubble"]?["measured"]?.doubleValue ?? 0 > 0.25 && pair["peak_rank_bytes"]?["measured"]?.doubleValue ?? 0 > 0)
        #expect(try String(contentsOfFile: "\(output)/report.html", encoding: .utf8).contains("(measured "))
    }

    @Test func whatIsNoRunIsOneLine() throws {
        let project = try Project()
        let outcome = try CommandRun.run(["report", project.model])
        #expect(outcome.exitCode == 65 && outcome.ownErrorLines.count == 1 && outcome.standardError.contains("metrics"), "\(outcome.standardError)")
        #expect(!FileManager.default.fileExists(atPath: "\(project.model)/report.html"))
    }
}

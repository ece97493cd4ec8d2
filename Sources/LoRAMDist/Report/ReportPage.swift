import LoRAMEngine

/// One HTML page about runs and studies, complete in itself: it asks no network for anything.
public struct ReportPage: Sendable {
    static let colourCount = 6

    public let runs: [RunRecord]
    public let studies: [StudyRecord]

    public init(_ runs: [RunRecord], studies: [StudyRecord] = []) {
        self.runs = runs
        self.studies = studies
    }

    public var html: String {
        let names = studies.map(\.name) + runs.map(\.name)
        let title = names.count == 1 ? names[0] : "\(names.count) \(studies.isEmpty ? "runs" : "runs and studies")"
        let sections = studies.map(section).joined() + Recipe.Phase.allCases.map(section).joined()
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(Markup.escaped(title))</title><style>\(Self.style)</style></head>
            <body><main><h1>\(Markup.escaped(title))</h1>
            \(legend)\(sections)</main></body></html>

            """
    }

    private var legend: String {
        guard runs.count > 1 else { return "" }
        let items = runs.enumerated().map { index, run in "<li><span class=\"swatch run\(index % Self.colourCount)\"></span>\(Markup.escaped(run.name))</li>" }
        return "<ul class=\"legend\">\(items.joined())</ul>"
    }

    private func section(_ study: StudyRecord) -> String {
        let chart = StudyChart(study: study), table = StudyTable(study: study)
        return "<section><h2>\(Markup.escaped(study.name)): which parts of LoRAM matter</h2>\(chart.legend)<div class=\"single\">\(chart.svg)</div>"
            + "<p>\(Markup.escaped(table.caption))</p>\(Self.table(table.head, table.rows))</section>"
    }

    // MARK: - A phase

    private func section(_ phase: Recipe.Phase) -> String {
        let present = runs.enumerated().filter { $0.element.series[phase] != nil }
        guard !present.isEmpty else { return "" }
        func chart(_ title: String, _ key: String, fromZero: Bool = false) -> String {
            LineChart(title: title, curves: present.compactMap { index, run in run.series(phase, key).map { (index, $0) } }, fromZero: fromZero).svg
        }
        let evaluations = Set(present.flatMap { $0.element.series[phase]!.keys.filter { $0.hasPrefix("eval/") } }).sorted()
        let charts = chart("loss", "loss") + evaluations.map { chart("perplexity, \($0.dropFirst(5))", $0) }.joined()
            + chart("learning rate", "learning_rate") + chart("gradient norm", "grad_norm") + chart("tokens/s", "tokens_per_second", fromZero: true)
            + chart("peak memory of the largest rank, MiB", "peak_rss_mib", fromZero: true)
        let pipelines = present.compactMap { _, run in run.plan(phase).map { pipeline(run, $0, run.comparison(phase)) } }.joined()
        return "<section><h2>\(phase == .align ? "Alignment" : "Adapter training")</h2>\(table(phase, present.map { $0 }, evaluations))"
            + "<div class=\"charts\">\(charts)</div>\(pipelines)</section>"
    }

    private func table(_ phase: Recipe.Phase, _ runs: [(offset: Int, element: RunRecord)], _ evaluations: [String]) -> String {
        let head = ["run", "model", "pruning", "updates", "learning rate", "last loss"] + evaluations.map { "best \($0.dropFirst(5))" }
            + ["tokens/s", "time", "waited", "peak MiB"]
        let rows = runs.map { _, run -> [String] in
            func values(_ key: String) -> [Double] { run.series(phase, key)?.points.map(\.value) ?? [] }
            let recipe = run.recipe, seconds = values("step_seconds"), total = seconds.reduce(0, +)
            let pruning = run.model(phase).map { $0.ratio > 0 ? "\($0.method) \(Formatting.fixed($0.ratio, decimals: 2))" : "none" } ?? "-"
            let rate = phase == .align ? recipe.alignment.optimizer.learningRate : recipe.optimizer.learningRate
            func shown(_ value: Double?, _ decimals: Int = 3) -> String { value.map { Formatting.fixed($0, decimals: decimals) } ?? "-" }
            return [run.name, recipe.trainedOn ?? recipe.model ?? "-", pruning, "\(run.series(phase, "loss")?.points.last?.step ?? 0)", "\(rate)", shown(values("loss").last)]
                + evaluations.map { shown(values($0).min()) }
                + [
                    values("tokens_per_second").isEmpty ? "-" : Formatting.count(Measurement.median(values("tokens_per_second"))), Formatting.seconds(total),
                    total > 0 ? Formatting.fixed(100 * values("wait_seconds").reduce(0, +) / total, decimals: 1) + " %" : "-",
                    shown(values("peak_rss_mib").max(), 0),
                ]
        }
        return Self.table(head, rows)
    }

    private func pipeline(_ run: RunRecord, _ plan: GridPlan, _ comparison: RunRecord.Comparison?) -> String {
        let dims = plan.layout.dims
        func percent(_ share: Double) -> String { Formatting.fixed(share * 100, decimals: 1) + " %" }
        let bubble = comparison?.bubble.map { " (measured \(percent($0.measured)))" } ?? ""
        let peak = comparison?.peakRankBytes.map { ", largest rank \(Formatting.bytes(Int($0.foretold))) (measured \(Formatting.bytes(Int($0.measured))))" } ?? ""
        let caption = "\(run.name): \(dims.stages) stages x \(dims.replicas) replicas, as planned: bubble \(percent(plan.bubble))\(bubble)\(peak)"
        let rows = plan.stages.map { stage -> [String] in
            let memory = stage.memory
            return [
                "\(stage.index)", stage.layersText,
            ] + [memory.frozen, memory.parameters + memory.moments + memory.gradients, memory.activations, memory.scratch + memory.messages + memory.process.total, memory.total]
                .map { Formatting.bytes($0) }
        }
        let table = Self.table(["stage", "layers", "frozen weights", "trained, optimizer, gradients", "activations", "other", "memory of a rank"], rows)
        let key = [("F", "forward"), ("R", "recompute"), ("B", "backward"), ("W", "weight gradients"), ("idle", "waits")].map { "<li><span class=\"swatch \($0)\"></span>\($1)</li>" }
        return "<h3>\(Markup.escaped(caption))</h3><ul class=\"legend\">\(key.joined())</ul><div class=\"wide\">\(TimelineChart(plan: plan).svg)</div>\(table)"
    }

    private static func table(_ head: [String], _ rows: [[String]]) -> String {
        let header = head.map { "<th>\(Markup.escaped($0))</th>" }.joined()
        let body = rows.map { "<tr>" + $0.map { "<td>\(Markup.escaped($0))</td>" }.joined() + "</tr>" }.joined()
        return "<div class=\"wide\"><table><thead><tr>\(header)</tr></thead><tbody>\(body)</tbody></table></div>"
    }

    private static let style = """
        :root{color-scheme:light dark;--text:#1b1f24;--soft:#5b6470;--page:#fff;--line:#d9dee4;--idle:#edf0f3;--c0:#1565c0;--c1:#c2410c;--c2:#15803d;--c3:#7e22ce;--c4:#b91c1c;--c5:#0e7490;--F:#4f8fd6;--R:#c9a227;--B:#3f9f64;--W:#9a7fd1}
        @media(prefers-color-scheme:dark){:root{--text:#e4e8ed;--soft:#9aa5b1;--page:#14171b;--line:#333a42;--idle:#22272d;--c0:#6cb0f5;--c1:#fb923c;--c2:#5fd08a;--c3:#c792f5;--c4:#f87171;--c5:#52c7dd}}
        *{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif}
        main{max-width:1200px;margin:0 auto;padding:24px 20px 60px}h1{font-size:26px;margin:0 0 12px;overflow-wrap:anywhere}h2{font-size:20px;margin:36px 0 12px}h3{font-size:16px;margin:28px 0 8px;overflow-wrap:anywhere}
        .wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}th,td{padding:6px 10px;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}th{color:var(--soft);font-weight:600;font-size:13px}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:20px;margin-top:20px}figure{margin:0}figcaption{font-weight:600;margin-bottom:4px}
        svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}.timeline{margin-bottom:12px}.timeline text{font-size:13px}
        .single{max-width:700px}p{color:var(--soft);margin:14px 0 6px}svg line{stroke-width:2}.reference{stroke:var(--soft);stroke-dasharray:5 4}
        svg .grid{stroke:var(--line);stroke-width:1}polyline{fill:none;stroke-width:2;stroke-linejoin:round}
        @media(max-width:600px){main{padding:16px 14px 40px}.charts svg text,.single svg text{font-size:17px}.timeline{min-width:680px}}
        .legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;padding:0;margin:0 0 10px}.swatch{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:6px}
        """ + (0..<colourCount).map { "polyline.run\($0){stroke:var(--c\($0))}circle.run\($0){fill:var(--c\($0))}line.run\($0){stroke:var(--c\($0))}.swatch.run\($0){background:var(--c\($0))}" }.joined()
        + ["F", "R", "B", "W", "idle"].map { "rect.\($0){fill:var(--\($0))}.swatch.\($0){background:var(--\($0))}" }.joined()
}

import LoRAMEngine

/// Pieces of SVG and HTML.
enum Markup {
    /// Text from a file or the user as text of a page.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    static func number(_ value: Double) -> String { Formatting.fixed(value, decimals: 1) }

    /// At most four digits, as an axis is read.
    static func label(_ value: Double) -> String {
        let magnitude = abs(value)
        if magnitude >= 1e4 { return Formatting.count(value) }
        if magnitude > 0, magnitude < 1e-3 { return "\(Formatting.fixed(value * 1e6, decimals: 0))e-6" }
        return Formatting.fixed(value, decimals: magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 4)
    }
}

/// Curves of several runs over updates.
struct LineChart {
    var title: String
    /// Run's index, which is its colour, and its values.
    var curves: [(run: Int, series: RunRecord.Series)]
    /// The axis begins at 0, for amounts whose changes would look larger than they are.
    var fromZero = false

    private static let width = 640.0, height = 240.0, left = 64.0, right = 12.0, top = 12.0, bottom = 28.0
    private static let maxPoints = 500

    var svg: String {
        let curves = curves.map { (run: $0.run, points: Self.thinned($0.series.points.filter { $0.value.isFinite })) }.filter { !$0.points.isEmpty }
        let values = curves.flatMap { $0.points.map(\.value) }, steps = curves.flatMap { $0.points.map { Double($0.step) } }
        guard !values.isEmpty else { return "" }
        let across = ChartAxis(steps, widened: false, parts: 6, smallestStep: 1), upwards = ChartAxis(values + (fromZero ? [0] : []))
        func x(_ step: Double) -> Double { Self.left + across.place(step) * (Self.width - Self.left - Self.right) }
        func y(_ value: Double) -> Double { Self.top + (1 - upwards.place(value)) * (Self.height - Self.top - Self.bottom) }
        var body = ""
        for value in upwards.ticks {
            let line = Markup.number(y(value))
            body += "<line class=\"grid\" x1=\"\(Self.left)\" x2=\"\(Self.width - Self.right)\" y1=\"\(line)\" y2=\"\(line)\"/>"
            body += "<text x=\"\(Self.left - 6)\" y=\"\(line)\" dy=\"4\" text-anchor=\"end\">\(upwards.label(value))</text>"
        }
        for step in across.ticks {
            let isAtEdge = across.place(step) > 0.97
            body += "<text x=\"\(Markup.number(x(step)))\" y=\"\(Self.height - 8)\" text-anchor=\"\(isAtEdge ? "end" : "middle")\">\(across.label(step))</text>"
        }
        for curve in curves {
            let path = curve.points.map { "\(Markup.number(x(Double($0.step)))),\(Markup.number(y($0.value)))" }.joined(separator: " ")
            body += "<polyline class=\"run\(curve.run % ReportPage.colourCount)\" points=\"\(path)\"/>"
            let end = curve.points[curve.points.count - 1]
            body += "<circle class=\"run\(curve.run % ReportPage.colourCount)\" cx=\"\(Markup.number(x(Double(end.step))))\" cy=\"\(Markup.number(y(end.value)))\" r=\"2.5\"/>"
        }
        return "<figure><figcaption>\(Markup.escaped(title))</figcaption><svg viewBox=\"0 0 \(Self.width) \(Self.height)\" role=\"img\" "
            + "aria-label=\"\(Markup.escaped(title))\">\(body)</svg></figure>"
    }

    /// Means of equal runs of points, so that a page of a long run stays small.
    private static func thinned(_ points: [(step: Int, value: Double)]) -> [(step: Int, value: Double)] {
        let size = (points.count + maxPoints - 1) / maxPoints
        guard size > 1 else { return points }
        return stride(from: 0, to: points.count, by: size).map { start in
            let part = points[start..<min(start + size, points.count)]
            return (part[part.endIndex - 1].step, part.reduce(0) { $0 + $1.value } / Double(part.count))
        }
    }
}

/// A step of the pipeline: one row a stage, one box for each piece of work.
struct TimelineChart {
    var plan: GridPlan

    private static let width = 1000.0, left = 56.0, rowHeight = 22.0
    /// More boxes than that are no picture.
    private static let maxBoxCount = 6000

    var svg: String {
        let simulation = plan.simulation, scale = (Self.width - Self.left - 4) / simulation.makespan
        guard simulation.makespan > 0, simulation.spans.reduce(0, { $0 + $1.count }) <= Self.maxBoxCount else { return "" }
        let height = Double(simulation.spans.count) * Self.rowHeight + 4
        var body = ""
        for (stage, spans) in simulation.spans.enumerated() {
            let top = Double(stage) * Self.rowHeight + 2
            body += "<text x=\"\(Self.left - 6)\" y=\"\(top + 14)\" text-anchor=\"end\">stage \(stage)</text>"
            body += "<rect class=\"idle\" x=\"\(Self.left)\" y=\"\(top)\" width=\"\(Markup.number(Self.width - Self.left - 4))\" height=\"\(Self.rowHeight - 4)\"/>"
            for span in spans where span.end > span.start {
                let x = Self.left + span.start * scale, width = (span.end - span.start) * scale
                body += "<rect class=\"\(span.kind.rawValue)\" x=\"\(Markup.number(x))\" y=\"\(top)\" width=\"\(Formatting.fixed(max(width - 0.4, 0.2), decimals: 2))\" "
                    + "height=\"\(Self.rowHeight - 4)\"><title>\(span.kind.rawValue)\(span.microBatch)</title></rect>"
            }
        }
        return "<svg class=\"timeline\" viewBox=\"0 0 \(Self.width) \(height)\" role=\"img\" aria-label=\"timeline of a step\">\(body)</svg>"
    }
}

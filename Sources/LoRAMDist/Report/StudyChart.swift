import LoRAMEngine

/// The paper's figure 6 for a study: a group of marks for every way of pruning; a mark is an arm's mean, its bar reaches from the best seed to
/// the worst. The dashed line is LoRA on the whole model.
struct StudyChart {
    let study: StudyRecord

    /// Arms in the order of a group's marks; the index is the colour.
    static let arms: [(arm: StudyRecord.Arm, aligned: Bool, text: String)] = [
        (.recovered, true, "recovered, aligned (LoRAM)"), (.recovered, false, "recovered, not aligned"),
        (.unrecovered, true, "without recovery, aligned"), (.unrecovered, false, "without recovery, not aligned"),
    ]

    private static let width = 640.0, height = 300.0, left = 64.0, right = 12.0, top = 14.0, bottom = 30.0

    var legend: String {
        let items = Self.arms.enumerated().map { "<li><span class=\"swatch run\($0)\"></span>\($1.text)</li>" }
        return "<ul class=\"legend\">\(items.joined())<li>dashed: LoRA on the whole model</li></ul>"
    }

    var svg: String {
        let marks = study.methods.enumerated().flatMap { group, method in
            Self.arms.enumerated().compactMap { place, arm in
                study.results(method, aligned: arm.aligned, arm.arm).map { (group: group, place: place, results: $0) }
            }
        }
        let values = marks.flatMap(\.results.losses) + (study.lora?.losses ?? [])
        guard !values.isEmpty, !study.methods.isEmpty else { return "" }
        let axis = ChartAxis(values)
        let groupWidth = (Self.width - Self.left - Self.right) / Double(study.methods.count)
        func y(_ value: Double) -> Double { Self.top + (1 - axis.place(value)) * (Self.height - Self.top - Self.bottom) }
        var body = ""
        for value in axis.ticks {
            let line = Markup.number(y(value))
            body += "<line class=\"grid\" x1=\"\(Self.left)\" x2=\"\(Self.width - Self.right)\" y1=\"\(line)\" y2=\"\(line)\"/>"
            body += "<text x=\"\(Self.left - 6)\" y=\"\(line)\" dy=\"4\" text-anchor=\"end\">\(axis.label(value))</text>"
        }
        if let lora = study.lora {
            let line = y(lora.mean)
            body += "<line class=\"reference\" x1=\"\(Self.left)\" x2=\"\(Self.width - Self.right)\" y1=\"\(Markup.number(line))\" y2=\"\(Markup.number(line))\"/>"
        }
        for (group, method) in study.methods.enumerated() {
            let x = Self.left + (Double(group) + 0.5) * groupWidth
            body += "<text x=\"\(Markup.number(x))\" y=\"\(Self.height - 9)\" text-anchor=\"middle\">\(Markup.escaped(method))</text>"
        }
        for mark in marks {
            let x = Self.left + (Double(mark.group) + Double(mark.place + 1) / Double(Self.arms.count + 1)) * groupWidth
            let losses = mark.results.losses, text = Markup.number(x)
            body += "<line class=\"run\(mark.place)\" x1=\"\(text)\" x2=\"\(text)\" y1=\"\(Markup.number(y(losses.max()!)))\" y2=\"\(Markup.number(y(losses.min()!)))\"/>"
            body += "<circle class=\"run\(mark.place)\" cx=\"\(text)\" cy=\"\(Markup.number(y(mark.results.mean)))\" r=\"5\"><title>"
                + "\(Markup.escaped(study.methods[mark.group])), \(Self.arms[mark.place].text): \(Formatting.fixed(mark.results.mean, decimals: 4))</title></circle>"
        }
        return "<figure><figcaption>-log p of a test answer's token</figcaption><svg viewBox=\"0 0 \(Self.width) \(Self.height)\" role=\"img\" "
            + "aria-label=\"results of the study\">\(body)</svg></figure>"
    }
}

import Foundation
import LoRAMEngine

/// The table of a study: a row for every way of pruning, with and without alignment.
struct StudyTable {
    let study: StudyRecord

    var caption: String {
        "mean -log p of test answers over \(study.seedCount) seed\(study.seedCount == 1 ? "" : "s"), +- standard deviation (perplexity of the mean); lower is better"
    }

    var head: [String] {
        ["pruning", "alignment", "recovered (LoRAM)", "without recovery", "pruned, no adapter", "of LoRA's gain", "learning rates"]
    }

    var rows: [[String]] {
        var rows: [[String]] = []
        if let base = study.base { rows.append(["none", "-", "base: \(Self.text(base))", "-", "-", "0", "-"]) }
        if let lora = study.lora { rows.append(["none", "-", "LoRA: \(Self.text(lora))", "-", "-", "1", Self.rates(lora)]) }
        for method in study.methods {
            for aligned in [false, true] {
                let recovered = study.results(method, aligned: aligned, .recovered), own = study.results(method, aligned: aligned, .unrecovered)
                guard recovered != nil || own != nil else { continue }
                let naive = study.results(method, aligned: aligned, .naive)
                rows.append([
                    method, aligned ? "yes" : "no", Self.text(recovered), Self.text(own), Self.text(naive), gain(recovered),
                    "\(Self.rates(recovered)); \(Self.rates(own))",
                ])
            }
        }
        return rows
    }

    /// (NLL base - NLL LoRAM) / (NLL base - NLL LoRA)
    private func gain(_ arm: StudyRecord.Results?) -> String {
        guard let arm, let base = study.base, let lora = study.lora, base.mean != lora.mean else { return "-" }
        return Formatting.fixed((base.mean - arm.mean) / (base.mean - lora.mean), decimals: 3)
    }

    private static func text(_ results: StudyRecord.Results?) -> String {
        guard let results else { return "-" }
        let spread = results.standardDeviation.map { " +- \(Formatting.fixed($0, decimals: 3))" } ?? ""
        return "\(Formatting.fixed(results.mean, decimals: 3))\(spread) (\(Markup.label(exp(results.mean))))"
    }

    private static func rates(_ results: StudyRecord.Results?) -> String {
        guard let results, !results.rates.isEmpty else { return "-" }
        return results.rates.map { String(format: "%g", $0) }.joined(separator: " ")
    }

    var markdown: String {
        func line(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |\n" }
        return "\(caption)\n\n" + line(head) + "|" + String(repeating: "---|", count: head.count) + "\n" + rows.map(line).joined()
    }
}

extension StudyRecord {
    /// The table in Markdown.
    public var markdown: String { StudyTable(study: self).markdown }
}

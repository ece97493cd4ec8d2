/// What was scored with one model.
public struct EvaluationReport: Sendable {
    public struct Perplexity: Sendable {
        public var perplexity: Double
        public var meanLoss: Double
        public var tokenCount: Int

        public init(perplexity: Double, meanLoss: Double, tokenCount: Int) {
            self.perplexity = perplexity
            self.meanLoss = meanLoss
            self.tokenCount = tokenCount
        }
    }

    /// Empty for the only model.
    public var label: String
    public var perplexity: Perplexity?
    public var tasks: [ChoiceData.Result]
    /// Of tasks whose answers the model wrote; on rank 0 alone.
    public var written: [GenerationScore] = []

    public init(label: String, perplexity: Perplexity? = nil, tasks: [ChoiceData.Result] = []) {
        self.label = label
        self.perplexity = perplexity
        self.tasks = tasks
    }

    /// The mean accuracy of the six commonsense tasks, with the authors' error, sqrt(mean of squares), and the standard error of the
    /// mean, sqrt(sum of squares) / 6; nil unless all six were scored.
    public var commonsense: (mean: Double, authorsError: Double, standardError: Double)? {
        let scored = ChoiceTask.commonsense.compactMap { task in tasks.first { $0.task == task } }
        guard scored.count == ChoiceTask.commonsense.count else { return nil }
        let n = Double(scored.count)
        let squares = scored.map { result in
            let error = ChoiceData.Result.standardError(result.accuracy, count: result.questionCount)
            return error * error
        }.reduce(0, +)
        return (scored.map(\.accuracy).reduce(0, +) / n, (squares / n).squareRoot(), squares.squareRoot() / n)
    }

    public var json: JSONValue {
        var members: [JSONMember] = label.isEmpty ? [] : [JSONMember("label", .string(label))]
        if let perplexity {
            members += [
                JSONMember("perplexity", .double(perplexity.perplexity)), JSONMember("nll", .double(perplexity.meanLoss)),
                JSONMember("tokens", .integer(perplexity.tokenCount)),
            ]
        }
        let scores = tasks.map { JSONMember($0.task.rawValue, Self.json($0)) } + written.map { JSONMember($0.task.rawValue, $0.json) }
        if !scores.isEmpty { members.append(JSONMember("tasks", .object(scores))) }
        if let csr = commonsense {
            members.append(
                JSONMember("csr", ["acc": .double(csr.mean), "authors_error": .double(csr.authorsError), "stderr": .double(csr.standardError)]))
        }
        return .object(members)
    }

    private static func json(_ result: ChoiceData.Result) -> JSONValue {
        let error = ChoiceData.Result.standardError
        var members = [
            JSONMember("questions", .integer(result.questionCount)), JSONMember("acc", .double(result.accuracy)),
            JSONMember("acc_stderr", .double(error(result.accuracy, result.questionCount))),
        ]
        if let normalized = result.normalizedAccuracy {
            members += [JSONMember("acc_norm", .double(normalized)), JSONMember("acc_norm_stderr", .double(error(normalized, result.questionCount)))]
        }
        if result.cutCount > 0 { members.append(JSONMember("cut", .integer(result.cutCount))) }
        return .object(members)
    }

    /// Rows of measures, a column for each model.
    public static func table(_ reports: [EvaluationReport]) -> String {
        var rows: [[String]] = []
        func row(_ name: String, _ value: (EvaluationReport) -> String?) {
            let values = reports.map(value)
            if values.contains(where: { $0 != nil }) { rows.append([name] + values.map { $0 ?? "-" }) }
        }
        func percent(_ value: Double, _ count: Int) -> String {
            let error = ChoiceData.Result.standardError(value, count: count)
            return "\(Formatting.fixed(100 * value, decimals: 2)) ± \(Formatting.fixed(100 * error, decimals: 2))"
        }
        if reports.contains(where: { !$0.label.isEmpty }) { rows.append([""] + reports.map(\.label)) }
        row("perplexity") { $0.perplexity.map { Formatting.fixed($0.perplexity, decimals: 4) } }
        row("nll") { $0.perplexity.map { Formatting.fixed($0.meanLoss, decimals: 6) } }
        row("tokens") { $0.perplexity.map { "\($0.tokenCount)" } }
        for task in ChoiceTask.allCases {
            func result(_ report: EvaluationReport) -> ChoiceData.Result? { report.tasks.first { $0.task == task } }
            row("\(task.rawValue) acc") { result($0).map { percent($0.accuracy, $0.questionCount) } }
            row("\(task.rawValue) acc_norm") { report in
                result(report).flatMap { result in result.normalizedAccuracy.map { percent($0, result.questionCount) } }
            }
        }
        for task in GenerationTask.allCases {
            func measures(_ report: EvaluationReport) -> [GenerationScore.Measure] { report.written.first { $0.task == task }?.measures ?? [] }
            for name in reports.flatMap({ measures($0).map(\.name) }).reduce(into: [String](), { if !$0.contains($1) { $0.append($1) } }) {
                row("\(task.rawValue) \(name)") { report in
                    measures(report).first { $0.name == name }.map {
                        "\(Formatting.fixed(100 * $0.mean, decimals: 2)) ± \(Formatting.fixed(100 * $0.standardError, decimals: 2))"
                    }
                }
            }
        }
        row("CSR (authors' error, standard error)") { report in
            report.commonsense.map { csr in
                let parts = [csr.mean, csr.authorsError, csr.standardError].map { Formatting.fixed(100 * $0, decimals: 2) }
                return "\(parts[0]) ± \(parts[1]), ± \(parts[2])"
            }
        }
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { cells in
            zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
                .replacing(#/ +$/#, with: "")
        }.joined(separator: "\n")
    }
}

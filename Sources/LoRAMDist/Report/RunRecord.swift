import Foundation
import LoRAMEngine

/// What a run directory says about its run.
public struct RunRecord: Sendable {
    /// Values over the updates of a phase.
    public struct Series: Sendable, Equatable {
        public var points: [(step: Int, value: Double)] = []

        public static func == (a: Series, b: Series) -> Bool { a.points.elementsEqual(b.points) { $0 == $1 } }
    }

    /// Last part of the directory's path.
    public let name: String
    public let recipe: Recipe
    private let paths: RunPaths
    /// By phase and key of metrics.jsonl: `loss`, `tokens_per_second`, `eval/NAME`.
    public let series: [Recipe.Phase: [String: Series]]

    private static let maxMetricsByteCount = 1 << 30

    /// - Throws: `FileError`, `RecipeError`, `ReportError.noMetrics`; unfinished last lines of metrics are left out.
    public init(_ path: String) throws {
        let paths = RunPaths(path)
        self.paths = paths
        name = paths.run.split(separator: "/").last.map(String.init) ?? paths.run
        guard FilePath.exists(paths.metrics) else { throw ReportError.noMetrics(path: paths.metrics) }
        recipe = try Recipe.load(file: paths.recipe)
        var series: [Recipe.Phase: [String: Series]] = [:]
        let bytes = try FileSystem.read(paths.metrics, limit: Self.maxMetricsByteCount)
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let row = try? line.withUnsafeBytes({ try JSONValue.parse($0) }), let step = row["step"]?.intValue,
                let phase = row["phase"]?.stringValue.flatMap({ Recipe.Phase(rawValue: $0) })
            else { continue }
            for member in row.objectMembers ?? [] where member.key != "step" {
                guard let value = member.value.doubleValue else { continue }
                series[phase, default: [:]][member.key, default: Series()].points.append((step, value))
            }
        }
        guard !series.isEmpty else { throw ReportError.noMetrics(path: paths.metrics) }
        self.series = series
    }

    public func series(_ phase: Recipe.Phase, _ key: String) -> Series? { series[phase]?[key] }

    /// What a phase trained on: the recipe's checkpoint, an earlier phase's result, or the model itself.
    private func trained(_ phase: Recipe.Phase) -> Recipe {
        var recipe = recipe
        // Where the directory is now, which may have been moved since.
        recipe.output = paths.run
        let made = try? TrainedBase.result(before: phase == .align ? .align : .train, recipe)
        recipe.model = recipe.trainedOn ?? made ?? recipe.model
        // It is as it is: pruned before, or not at all.
        recipe.pruning.ratio = 0
        recipe.pruning.plan = nil
        return recipe
    }

    /// The shape that a phase trained; nil where it cannot be found any more.
    public func model(_ phase: Recipe.Phase) -> ModelPlan? { try? ModelPlan(trained(phase)) }

    /// The pipeline of a phase as it was planned; nil where the model cannot be found any more or the grid was left to the job.
    public func plan(_ phase: Recipe.Phase) -> GridPlan? {
        guard recipe.parallel.stages.given != nil else { return nil }
        var options = PlanRun.Options()
        options.phase = phase
        // Only proportions are drawn: any speed will do.
        options.gigaflops = 1
        return try? PlanRun(trained(phase), options).grid
    }
}

/// A report that cannot be made.
public enum ReportError: DiagnosedError, Equatable {
    case noMetrics(path: String)
    case badStudy(path: String, line: Int)

    public var description: String {
        switch self {
        case .noMetrics(let path): "\(path): expected the metrics of a run that has begun, found none; name run directories"
        case .badStudy(let path, let line):
            "\(path), line \(line): expected a study's row with seed, method, aligned, arm and a finite nll, found none; run cluster/study/run.sh again"
        }
    }
}

import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `prune` with calibration against float64 references (Tests/fixtures-src/make_pruning.py), and the same bytes on every grid.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct PruneTests {
    let directory: TemporaryDirectory
    let model = Fixtures.path("parity/llama31/model")
    let calibration = Fixtures.path("pruning/calibration.jsonl")

    init() throws { directory = try TemporaryDirectory() }

    func prune(_ name: String, _ arguments: [String], _ variant: GridVariant = .plain) throws -> RunOutput {
        let output = directory.path(name)
        let outcome = try variant.run(
            ["prune", "--model", model, "--output", output, "--calibration", calibration, "--samples", "6", "--length", "24"] + arguments)
        #expect(outcome.exitCode == 0, "\(variant.testDescription): \(outcome.standardError)")
        return RunOutput(path: output)
    }

    static let grids = [
        GridVariant(stages: 2, replicas: 1), GridVariant(stages: 1, replicas: 2), GridVariant(stages: 2, replicas: 2, threads: 2),
        GridVariant(stages: 1, replicas: 1, threads: 2),
    ]

    func expectSameFiles(_ run: RunOutput, _ reference: RunOutput) throws {
        #expect(run.names == reference.names && reference.names.contains("model.safetensors"))
        for name in reference.names { #expect(try run.bytes(name) == reference.bytes(name), "\(name)") }
    }

    // MARK: - Stru

    static let structured = ["--method", "stru", "--ratio", "0.5", "--keep-first", "0", "--keep-last", "0"]
    static let importances: [(importance: String, aggregation: String, grouping: String)] =
        ["vectorize", "param_first", "param_second", "param_mix"].map { ($0, "sum", "correct") }
        + ["mean", "max", "prod"].map { ("param_first", $0, "correct") } + [("param_first", "sum", "llm_pruner")]

    @Test(arguments: importances.indices) func importancesAreThoseOfAutograd(_ index: Int) throws {
        let setting = Self.importances[index]
        let run = try prune(
            "stru",
            Self.structured
                + settings([
                    ("pruning.importance", setting.importance), ("pruning.aggregation", setting.aggregation), ("pruning.grouping", setting.grouping),
                ]))
        let found = try SafetensorsFile(path: "\(run.path)/pruning_scores.safetensors")
        let expected = try SafetensorsFile(path: Fixtures.path("pruning/importances.safetensors"))
        let plan = try PruningPlan(path: "\(run.path)/pruning_plan.json")
        #expect(plan.method == "stru")
        for layer in 0..<2 {
            for part in ["heads", "channels"] {
                let name = "layers.\(layer).\(part)"
                let ours = try values(found, name)
                let theirs = try values(expected, "\(setting.importance).\(setting.aggregation).\(setting.grouping).\(name)")
                let largest = theirs.map(abs).max()!
                #expect(ours.count == theirs.count && zip(ours, theirs).allSatisfy { abs($0 - $1) < 1e-4 * largest }, "\(setting) \(name)")
                let kept = part == "heads" ? plan.layers[layer].keyValueHeads : plan.layers[layer].channels
                let best = theirs.indices.sorted { theirs[$0] > theirs[$1] }.prefix(theirs.count / 2)
                #expect(kept == best.sorted(), "\(setting) \(name)")
            }
        }
    }

    func values(_ file: SafetensorsFile, _ name: String) throws -> [Double] {
        try file.tensor(name).withBytes { bytes in
            (0..<bytes.count / 8).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: Double.self) }
        }
    }

    @Test func structuredOnGrids() throws {
        for extra in [[], ["--importance", "param_mix", "--iterations", "3"]] {
            let reference = try prune("reference\(extra.count)", Self.structured + extra)
            for (index, grid) in Self.grids.enumerated() {
                try expectSameFiles(prune("grid\(extra.count)-\(index)", Self.structured + extra, grid), reference)
            }
            try Checkpoint(directory: reference.path).validate()
        }
    }

    // MARK: - Semi and Unst

    static let shares: [(name: String, arguments: [String])] = [
        ("half", ["--method", "unst", "--ratio", "0.5"]), ("4:8", ["--method", "semi", "--pattern", "4:8"]),
    ]

    @Test(arguments: ["sparsegpt", "wanda", "magnitude"], [0, 1]) func masksAreThoseOfTheReference(_ score: String, share: Int) throws {
        let (name, arguments) = Self.shares[share]
        let run = try prune(score + name, arguments + (score == "sparsegpt" ? [] : ["--score", score]))
        let expected = try SafetensorsFile(path: Fixtures.path("pruning/model.safetensors"))
        let before = try Checkpoint(directory: model), after = try Checkpoint(directory: run.path)
        let masks = try #require(try PruningMasks.beside(run.path, of: after.config))
        #expect(after.config == before.config && after.configuration["model_type"] == "llama")
        for (weight, shape) in WeightLayout.names(before.config) {
            var old = [Float](repeating: 0, count: shape.reduce(1, *)), new = old
            try before.copyFloats(weight, shape: shape, rows: nil, into: &old)
            try after.copyFloats(weight, shape: shape, rows: nil, into: &new)
            guard expected.contains("\(score).\(name).mask.\(weight)") else {
                #expect(old == new, "\(weight)")
                continue
            }
            let site = try #require(LinearSite.inLayer.first { weight.hasSuffix("\($0.rawValue).weight") })
            let mask = try #require(try masks.mask(site, layer: weight.contains(".0.") ? 0 : 1)).withBytes { Array($0) }
            #expect(mask == (try expected.tensor("\(score).\(name).mask.\(weight)").withBytes { Array($0) }), "\(weight)")
            if expected.contains("\(score).\(name).\(weight)") {
                try expected.tensor("\(score).\(name).\(weight)").copyFloats(into: &old)
                let largest = old.map(abs).max()!
                #expect(zip(old, new).allSatisfy { abs($0 - $1) < 1e-4 * largest }, "\(weight)")
            }
        }
    }

    @Test func sparseOnGrids() throws {
        for (arguments, name) in [(Self.shares[0].arguments, "unst"), (["--method", "semi", "--pattern", "3:5", "--score", "wanda", "--keep-last", "1"], "semi")] {
            let reference = try prune(name, arguments)
            for (index, grid) in Self.grids.enumerated() { try expectSameFiles(prune("\(name)-\(index)", arguments, grid), reference) }
        }
    }
}

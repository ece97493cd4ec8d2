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

    /// transformers opens what pruning, and quantizing after it, leaves, and computes the same from it.
    @Test(.enabled(if: ReferencePython.isPresent, "LORAM_PYTHON names no Python"))
    func transformersComputesTheSame() throws {
        let structured = try prune("stru", Self.structured).path, sparse = try prune("semi", Self.shares[1].arguments).path
        let quantized = directory.path("quantized")
        #expect(try CommandRun.run(["quantize", "--model", structured, "--output", quantized]).exitCode == 0)
        let result = try ReferencePython.run("compare_opened.py", [MPIRun.executable("loram-mpi"), structured, sparse, quantized])
        #expect(result.exitCode == 0, "\(result.output)")
    }

    // MARK: - Mistakes

    /// One line each, before anything is written.
    @Test(arguments: [
        (["--method", "rand", "--ratio", "1"], Int32(65), "less than 1"), (["--method", "stru", "--set", "pruning.ratio=-0.1"], 65, "pruning.ratio"),
        (["--method", "unst", "--ratio", "1.5"], 65, "pruning.ratio"), (["--method", "semi", "--pattern", "8:4"], 65, "pruning.pattern"),
        (["--method", "rand", "--ratio", "0.99", "--keep-first", "0", "--keep-last", "0"], 65, "at least one key-value head"),
        (["--method", "rand", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"], 65, "model's 2 layers, found 1 + 1"),
        (["--method", "unst", "--keep-first", "3", "--length", "16", "--samples", "2"], 65, "model's 2 layers, found 3 + 0"),
        (["--method", "stru", "--ratio", "0.5", "--keep-first", "0", "--keep-last", "0", "--samples", "500"], 65, "expected 500 calibration sequences"),
        (["--method", "semi", "--samples", "2", "--length", "100000"], 65, "max_position_embeddings"),
    ])
    func mistakesAreOneLine(arguments: [String], status: Int32, words: String) throws {
        let output = directory.path("out")
        let outcome = try CommandRun.run(["prune", "--model", model, "--output", output, "--calibration", calibration] + arguments)
        #expect(outcome.exitCode == status && outcome.ownErrorLines.count == 1 && outcome.standardOutput.isEmpty, "\(outcome.standardError)")
        #expect(outcome.standardError.contains(words), "\(outcome.standardError)")
        #expect(traces(of: output).isEmpty)
    }

    /// A plan and masks of another model, and masks of a wrong shape.
    @Test func plansAndMasksThatDoNotFitAreOneLine() throws {
        let plan = try prune("plan", Self.structured).path, masks = try prune("masks", ["--method", "semi", "--score", "magnitude"]).path
        let project = try Project(), other = try project.writeCheckpoint("other")
        let maskFile = "\(masks)/\(PruningMasks.fileName)", damaged = directory.path("damaged.safetensors")
        // A row less in one mask: its shape in the header, and the offsets with it.
        let file = try SafetensorsFile(path: maskFile), victim = file.tensors[0]
        let writer = try SafetensorsWriter(
            path: damaged, tensors: file.tensors.map { TensorInfo(name: $0.name, dtype: $0.dtype, shape: [$0.shape[0] - ($0.name == victim.name ? 1 : 0), $0.shape[1]]) },
            metadata: file.metadata.map { (key: $0.key, value: $0.value) })
        for tensor in file.tensors {
            try file.tensor(tensor.name).withBytes {
                try writer.append(UnsafeRawBufferPointer(rebasing: $0[..<($0.count - (tensor.name == victim.name ? tensor.shape[1] : 0))]), to: tensor.name)
            }
        }
        try writer.finish()
        for (base, applied, words) in [
            (other, "\(plan)/pruning_plan.json", "found one for another"), (other, maskFile, "found one for another"), (model, damaged, "mask \(victim.name)"),
        ] {
            let output = directory.path("out")
            let outcome = try CommandRun.run(["prune", "--model", base, "--output", output, "--plan", applied])
            #expect(outcome.exitCode == 65 && outcome.ownErrorLines.count == 1 && outcome.standardError.contains(words), "\(outcome.standardError)")
            #expect(traces(of: output).isEmpty)
        }
    }

    /// What is read and written is counted: rows that go are not read.
    @Test func bytesAreCounted() throws {
        func report(_ name: String, _ arguments: [String]) throws -> (read: Int, written: Int) {
            let output = directory.path(name)
            let outcome = try CommandRun.run(["prune", "--json", "--model", model, "--output", output] + arguments)
            let json = try JSONValue.parse(outcome.standardOutput), names = RunOutput(path: output).names
            let written = try #require(json["bytes_written"]?.intValue)
            #expect(try written == names.reduce(0) { $0 + (try RunOutput(path: output).bytes($1).count) })
            return (try #require(json["bytes_read"]?.intValue), written)
        }
        let weights = try Checkpoint(directory: model).config.parameterCount * 4, layers = ["--keep-first", "0", "--keep-last", "0"]
        let rand = try report("rand", ["--method", "rand", "--ratio", "0.5"] + layers)
        let stru = try report("stru", ["--method", "stru", "--ratio", "0.5", "--calibration", calibration, "--samples", "2", "--length", "24"] + layers)
        #expect(rand.read < weights && rand.written < weights)
        // Forward, backward, and gathering.
        #expect(stru.read > 2 * weights && stru.read < 3 * weights)
    }
}

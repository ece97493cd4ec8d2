import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// What is pruned without structure stays zero through `align`, and `lora.mask` goes from `train` to `evaluate`.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct SparseTrainingTests {
    let project: Project
    let base: String
    let sparse: String

    init() throws {
        project = try Project()
        base = try project.writeCheckpoint("base")
        sparse = project.path("sparse")
        try Self.run(["prune", "--model", base, "--output", sparse, "--method", "semi", "--pattern", "4:8", "--score", "magnitude"])
    }

    @discardableResult
    static func run(_ arguments: [String], ranks: Int = 0) throws -> MPIRun.Outcome {
        let outcome = try CommandRun.run(arguments, ranks: ranks)
        #expect(outcome.exitCode == 0, "\(arguments): \(outcome.standardError)")
        return outcome
    }

    @Test func zerosStay() throws {
        var files: [Data] = []
        for ranks in [0, 2] {
            let run = project.path("align-\(ranks)")
            try Self.run(
                ["align"]
                    + settings([
                        ("model", base), ("trained_on", sparse), ("output", run), ("alignment.data.train", "[{path: \(project.texts)}]"),
                        ("alignment.data.length", "32"), ("alignment.batch.global", "4"), ("alignment.batch.micro", "2"),
                        ("alignment.optimizer.learning_rate", "0.01"), ("alignment.optimizer.weight_decay", "0.1"), ("alignment.schedule.warmup_steps", "0"),
                        ("alignment.schedule.steps", "3"), ("parallel.stages", "\(max(ranks, 1))"),
                    ]), ranks: ranks)
            files.append(try Data(contentsOf: URL(fileURLWithPath: "\(run)/aligned/model.safetensors")))
            let before = try Checkpoint(directory: sparse), after = try Checkpoint(directory: "\(run)/aligned")
            let masks = try #require(try PruningMasks.beside("\(run)/aligned", of: after.config))
            for layer in 0..<4 {
                for site in LinearSite.inLayer {
                    let shape = site.shape(in: after.config, layer: layer), name = "\(site.modulePath(layer: layer)).weight"
                    var old = [Float](repeating: 0, count: shape.out * shape.in), new = old
                    try before.copyFloats(name, shape: [shape.out, shape.in], rows: nil, into: &old)
                    try after.copyFloats(name, shape: [shape.out, shape.in], rows: nil, into: &new)
                    #expect(old != new && old.count { $0 == 0 } == old.count / 2)
                    var masked = new
                    try masks.apply(site, layer: layer, columns: shape.in, rows: 0..<shape.out, to: &masked)
                    #expect(masked == new, "\(name)")
                }
            }
        }
        #expect(files[0] == files[1])
    }

    @Test(arguments: ["none", "recovery", "training"]) func masksOfAdapters(_ mask: String) throws {
        func train(_ name: String, trainedOn: String, mask: String) throws -> (RunOutput, MPIRun.Outcome) {
            let run = RunOutput(path: project.path(name))
            let outcome = try CommandRun.run(
                ["train"]
                    + settings([
                        ("model", base), ("trained_on", trainedOn), ("output", run.path), ("data.train", "[{path: \(project.tokens)}]"),
                        ("data.length", "32"), ("batch.global", "4"), ("batch.micro", "2"), ("optimizer.learning_rate", "0.02"),
                        ("schedule.warmup_steps", "0"), ("schedule.steps", "3"), ("lora.mask", mask), ("lora.rank", "4"),
                    ]))
            return (run, outcome)
        }
        let (run, outcome) = try train("run", trainedOn: sparse, mask: mask)
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        #expect(!run.names.contains("adapter-pruned"))
        let adapter = "\(run.path)/adapter"
        let saved = try JSONValue.parse(contentsOf: "\(adapter)/adapter_config.json")
        #expect(saved["base_model_name_or_path"] == .string(base))
        #expect(saved["loram_mask"] == (mask == "none" ? nil : .string(mask)))
        #expect(FilePath.exists("\(adapter)/\(PruningMasks.fileName)") == (mask != "none"))

        func evaluate(_ adapter: String) throws -> Double {
            let outcome = try Self.run(["evaluate", "--model", base, "--adapter", adapter, "--perplexity", project.tokens, "--length", "32", "--json"])
            return try #require(JSONValue.parse(outcome.standardOutput)["nll"]?.doubleValue)
        }
        let recovered = project.path("recovered")
        try Self.run(["recover", "--model", base, "--pruned", sparse, "--adapter", adapter, "--output", recovered])
        let score = try evaluate(adapter)
        #expect(try evaluate(recovered) == score)
        if mask != "none" {
            // The mask takes part: without it the same factors score otherwise.
            let plain = project.path("plain")
            try FileManager.default.copyItem(atPath: adapter, toPath: plain)
            let file = "\(plain)/adapter_config.json"
            let text = try String(contentsOfFile: file, encoding: .utf8).replacingOccurrences(of: "\"loram_mask\": \"\(mask)\"", with: "\"loram_mask\": null")
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try evaluate(plain) != score)
            // Nothing to multiply with: one line.
            let refused = try train("refused", trainedOn: base, mask: mask).1
            #expect(refused.exitCode == 65 && refused.ownErrorLines.count == 1 && refused.standardError.contains("lora.mask"), "\(refused.standardError)")
        }
    }

    /// Masks applied to the model they came from give the same weights, for a score that updates none.
    @Test func masksAsAPlan() throws {
        let again = project.path("again")
        let outcome = try Self.run(["prune", "--model", base, "--output", again, "--plan", "\(sparse)/\(PruningMasks.fileName)", "--json"])
        let report = try JSONValue.parse(outcome.standardOutput)
        #expect(report["method"] == "semi")
        for name in ["model.safetensors", PruningMasks.fileName, "config.json"] {
            #expect(try RunOutput(path: again).bytes(name) == RunOutput(path: sparse).bytes(name), "\(name)")
        }
        let config = Project.config()
        let linears = config.layers.indices.reduce(0) { sum, layer in
            sum + LinearSite.inLayer.reduce(0) { $0 + $1.shape(in: config, layer: layer).out * $1.shape(in: config, layer: layer).in }
        }
        #expect(report["pruned_parameters"]?.intValue == config.parameterCount - linears / 2)
    }

    static let refusals: [(words: [String], arguments: [String])] = [
        (["calibration"], ["--method", "stru", "--ratio", "0.5", "--keep-first", "1", "--keep-last", "1"]),
        (["calibration"], ["--method", "semi"]),
        (["--samples"], ["--method", "unst", "--samples", "500", "--length", "64", "--calibration", "TEXTS"]),
        (["--length"], ["--method", "unst", "--calibration", "TEXTS"]),
        (["--keep-first"], ["--method", "semi", "--keep-first", "3", "--keep-last", "1", "--score", "magnitude"]),
        (["key-value head"], ["--method", "stru", "--ratio", "0.99", "--keep-first", "1", "--keep-last", "1", "--calibration", "TEXTS", "--length", "16", "--samples", "4"]),
        (["linear layer's name"], ["--plan", "WRONG"]),
    ]

    @Test(arguments: refusals.indices) func oneClearLine(_ index: Int) throws {
        let (words, arguments) = Self.refusals[index]
        let wrong = project.path("wrong.safetensors")
        let label = PruningMasks.Label(method: "unst", score: .magnitude, sparsity: .ratio(0.5), sourceConfigHash: Project.config().identityHash)
        let writer = try SafetensorsWriter(path: wrong, tensors: [TensorInfo(name: "x", dtype: .u8, shape: [1])], metadata: label.metadata)
        try [UInt8(0)].withUnsafeBytes { try writer.append($0, to: "x") }
        try writer.finish()
        let output = project.path("out-\(index)")
        let outcome = try CommandRun.run(
            ["prune", "--model", base, "--output", output] + arguments.map { $0 == "TEXTS" ? project.texts : $0 == "WRONG" ? wrong : $0 })
        #expect(outcome.exitCode == 65, "\(outcome.standardError)")
        #expect(outcome.ownErrorLines.count == 1 && words.allSatisfy(outcome.standardError.contains), "\(outcome.standardError)")
        #expect(traces(of: output).isEmpty)
    }
}

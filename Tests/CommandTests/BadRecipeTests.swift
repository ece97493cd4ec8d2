import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Wrong recipes and command lines.
@Suite(.enabled(if: MPIRun.isAvailable, "MPI is not installed"))
struct BadRecipeTests {
    static func set(_ key: String, _ value: String) -> @Sendable (BadInputWorkspace, String) throws -> [String] {
        { w, output in w.trainCommand(w.base, output: output) + settings([(key, value)]) }
    }

    static func file(_ text: String) -> @Sendable (BadInputWorkspace, String) throws -> [String] {
        { w, output in try w.trainCommand(w.base, output: output) + ["--recipe", w.file(Array(text.utf8), suffix: ".yaml")] }
    }

    static let recipes: [BadInput] = [
        BadInput(name: "unknown key", status: 64, words: ["optimizer.learning_rat", "'optimizer.learning_rate'"], command: set("optimizer.learning_rat", "1")),
        BadInput(name: "unknown section", status: 64, words: ["'optimizer'"], command: set("optimiser", "{learning_rate: 1}")),
        BadInput(name: "unknown key in a file", status: 64, words: [":3:", "'batch.micro'"], command: file("seed: 1\nbatch:\n  mikro: 2\n")),
        BadInput(name: "another quantization", words: ["quantization.type", "nf4"], command: set("quantization.type", "int8")),
        BadInput(name: "quantize to nothing", words: ["quantization.type", "nf4"]) { w, output in
            ["quantize", "--model", w.base, "--output", output] + settings([("quantization.type", "none")])
        },
        BadInput(name: "another codec", words: ["recovery.compress", "planes"], command: set("recovery.compress", "lzma")),
        BadInput(name: "chunks without interleaving", status: 64, words: ["parallel.chunks", "interleaved"], command: set("parallel.chunks", "2")),
        BadInput(name: "no equals sign", status: 64, words: ["KEY=VALUE"]) { w, output in w.trainCommand(w.base, output: output) + ["--set", "seed"] },
        BadInput(name: "no output", status: 64, words: ["output"]) { w, _ in
            ["train"] + settings([("model", w.base), ("data.train", "[{path: \(w.project.tokens)}]")])
        },
        BadInput(name: "no model", status: 64, words: ["model"]) { w, output in
            ["train"] + settings([("output", output), ("data.train", "[{path: \(w.project.tokens)}]")])
        },
        BadInput(name: "no data", status: 64, words: ["data.train"]) { w, output in ["train"] + settings([("model", w.base), ("output", output)]) },
        BadInput(name: "no data to align on", status: 64, words: ["alignment.data.train"]) { w, output in
            ["align"] + settings([("model", w.base), ("output", output)])
        },
        BadInput(name: "wrong type", words: ["batch.micro"], command: set("batch.micro", "many")),
        BadInput(name: "out of range", words: ["lora.dropout"], command: set("lora.dropout", "1")),
        BadInput(name: "batch that cannot be cut", words: ["batch.global", "batch.micro"], command: set("batch.micro", "3")),
        BadInput(name: "missing recipe", words: ["/nonexistent.yaml"]) { w, output in
            w.trainCommand(w.base, output: output) + ["--recipe", "/nonexistent.yaml"]
        },
        BadInput(name: "no YAML", words: ["not valid YAML"], command: file("seed: 1\nbatch: {micro: 2\n")),
        BadInput(name: "duplicate key in a file", words: ["'seed'", "twice"], command: file("seed: 1\nseed: 2\n")),
        BadInput(name: "invalid UTF-8 in a file", words: ["UTF-8"]) { w, output in
            try w.trainCommand(w.base, output: output) + ["--recipe", w.file([0x73, 0x3a, 0xff, 0x0a], suffix: ".yaml")]
        },
        BadInput(name: "prune, another method", words: ["pruning.method", "rand"]) { w, output in
            w.pruneCommand(w.base, output: output) + ["--method", "none"]
        },
        BadInput(name: "evaluate, another template", status: 65, words: ["data.template"]) { w, _ in
            w.evaluateCommand(w.base) + ["--template", "vicuna"]
        },
    ]

    static let commandLines: [BadInput] = [
        BadInput(name: "unknown command", status: 64, words: ["trian"]) { _, _ in ["trian"] },
        BadInput(name: "unknown option", status: 64, words: ["--modle"]) { w, output in ["prune", "--modle", w.base, "--output", output] },
        BadInput(name: "missing option", status: 64, words: ["--output"]) { w, _ in ["prune", "--model", w.base] },
        BadInput(name: "prune, plan and ratio", status: 64, words: ["--plan", "--ratio"]) { w, output in
            ["prune", "--model", w.base, "--output", output, "--plan", "\(w.pruned)/pruning_plan.json", "--ratio", "0.5"]
        },
        BadInput(name: "recover, codec without merge", status: 64, words: ["--compress", "--merge"]) { w, output in
            w.recoverCommand(output: output) + ["--compress", "planes"]
        },
        BadInput(name: "recover, hashes without merge", status: 64, words: ["--no-sha256", "--merge"]) { w, output in
            w.recoverCommand(output: output) + ["--no-sha256"]
        },
        BadInput(name: "unpack, a tensor and JSON", status: 64, words: ["--tensor", "--json"]) { w, output in
            ["unpack", w.base, output, "--tensor", "model.norm.weight", "--json"]
        },
        BadInput(name: "unpack, a tensor and threads", status: 64, words: ["--tensor", "--threads"]) { w, output in
            ["unpack", w.base, output, "--tensor", "model.norm.weight", "--threads", "2"]
        },
        BadInput(name: "missing argument", status: 64, words: ["path"]) { _, _ in ["inspect"] },
        BadInput(name: "wrong type", status: 64, words: ["--ratio"]) { w, output in w.pruneCommand(w.base, output: output) + ["--ratio", "half"] },
        BadInput(name: "unknown word", status: 64, words: ["--bos"]) { w, _ in w.evaluateCommand(w.base) + ["--bos", "always"] },
        BadInput(name: "bench, heads that do not divide", status: 64, words: ["--heads"]) { _, _ in ["bench", "step", "--hidden", "64", "--heads", "3"] },
        BadInput(name: "bench, unknown target", status: 64, words: ["--targets", "q_proj"]) { _, _ in ["bench", "step", "--targets", "queries"] },
        BadInput(name: "bench, unknown recomputation", status: 64, words: ["--recompute"]) { _, _ in ["bench", "step", "--recompute", "some"] },
        BadInput(name: "bench, no steps", status: 64, words: ["--steps"]) { _, _ in ["bench", "step", "--steps", "0"] },
        BadInput(name: "bench, no batch", status: 64, words: ["--batch"]) { _, _ in ["bench", "step", "--batch", "-1"] },
        BadInput(name: "bench, no threads", status: 64, words: ["--threads"]) { _, _ in ["bench", "step", "--threads", "0"] },
        BadInput(name: "bench, half a shape", status: 64, words: ["--inputs"]) { _, _ in ["bench", "gemm", "--outputs", "64"] },
        BadInput(name: "bench, unknown product", status: 64, words: ["--product", "forward"]) { _, _ in ["bench", "gemm", "--product", "sideways"] },
        BadInput(name: "bench, no rows", status: 64, words: ["--rows"]) { _, _ in ["bench", "quantize", "--rows", "0"] },
    ]

    @Test(arguments: recipes) func badRecipeEndsInOneLine(_ input: BadInput) throws { try input.check() }

    @Test(arguments: commandLines) func badCommandLineEndsInOneLine(_ input: BadInput) throws { try input.check() }

    @Test(arguments: [recipes[0], recipes[3], recipes[10], commandLines[0], commandLines[1]])
    func oneLineFromManyRanks(_ input: BadInput) throws { try input.check(ranks: 2) }
}

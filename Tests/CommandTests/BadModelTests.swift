import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Damaged checkpoints, plans and adapters, as every command that reads them meets them.
@Suite(.enabled(if: MPIRun.isAvailable, "MPI is not installed"))
struct BadModelTests {
    typealias Damage = (name: String, words: [String], model: @Sendable (BadInputWorkspace) throws -> String)

    static let damages: [Damage] = [
        ("missing model", ["expected a directory"], { _ in "/nonexistent/model" }),
        (
            "truncated safetensors", ["model.safetensors"],
            { w in try w.copy(w.base) { try rewrite("\($0)/model.safetensors") { $0.removeLast($0.count / 2) } } }
        ),
        (
            "header beyond the file", ["model.safetensors"],
            { w in try w.copy(w.base) { try rewrite("\($0)/model.safetensors") { $0[3] = 0xff } } }
        ),
        (
            "wrong shape", ["expected shape", "config.json"],
            { w in try w.copy(w.base) { try change("\($0)/config.json", "intermediate_size", to: 50) } }
        ),
        (
            "missing tensor", ["expected tensor model.layers.4."],
            { w in try w.copy(w.base) { try change("\($0)/config.json", "num_hidden_layers", to: 5) } }
        ),
        (
            "NaN weight", ["NaN", "model.layers.2.mlp.up_proj.weight"],
            { w in
                try w.project.writeCheckpoint("nan-\(UUID().uuidString)") { name, values in
                    if name == "model.layers.2.mlp.up_proj.weight" { values[7] = .nan }
                }
            }
        ),
        ("wrong dtype", ["I32"], { w in try w.copy(w.base) { try replace("\"F32\"", by: "\"I32\"", in: "\($0)/model.safetensors") } }),
        ("duplicate keys", ["config.json", "once"], { w in try w.copy(w.base) { try duplicateFirstKey(in: "\($0)/config.json") } }),
        (
            "invalid UTF-8 in config.json", ["config.json", "UTF-8"],
            { w in try w.copy(w.base) { try replace("\"silu\"", by: "\"si\u{0}u\"", in: "\($0)/config.json"); try rewrite("\($0)/config.json") { $0[$0.firstIndex(of: 0)!] = 0xff } } }
        ),
        ("another model type", ["model_type"], { w in try w.copy(w.base) { try change("\($0)/config.json", "model_type", to: "mamba") } }),
        ("no theta", ["rope_theta"], { w in
            try w.copy(w.base) {
                try change("\($0)/config.json", "rope_theta", to: nil)
                try change("\($0)/config.json", "rope_parameters", to: nil)
            }
        }),
        (
            "index without its file", ["model.safetensors.index.json", "gone.safetensors"],
            { w in
                try w.copy(w.base) {
                    try FileManager.default.removeItem(atPath: "\($0)/model.safetensors")
                    try "{\"weight_map\": {\"lm_head.weight\": \"gone.safetensors\"}}".write(
                        toFile: "\($0)/model.safetensors.index.json", atomically: true, encoding: .utf8)
                }
            }
        ),
        ("no weights", ["synthetic_seed"], { w in w.project.model }),
    ]

    static let models: [BadInput] = damages.flatMap { name, words, model in
        [
            BadInput(name: "evaluate, \(name)", words: words) { w, _ in try w.evaluateCommand(model(w)) },
            BadInput(name: "prune, \(name)", words: words) { w, output in try w.pruneCommand(model(w), output: output) },
            BadInput(name: "train, \(name)", words: words) { w, output in try w.trainCommand(model(w), output: output) },
            BadInput(name: "align, \(name)", words: words) { w, output in try w.alignCommand(model(w), output: output) },
        ]
    }

    @Test(arguments: models) func badModelEndsInOneLine(_ input: BadInput) throws { try input.check() }

    static let adapters: [BadInput] = {
        let damages: [(name: String, words: [String], adapter: @Sendable (BadInputWorkspace) throws -> String)] = [
            ("missing adapter", ["adapter_config.json"], { _ in "/nonexistent/adapter" }),
            (
                "truncated adapter", ["adapter_model.safetensors"],
                { w in try w.copy(w.adapter) { try rewrite("\($0)/adapter_model.safetensors") { $0.removeLast(100) } } }
            ),
            (
                "NaN in adapter", ["NaN"],
                { w in
                    try w.copy(w.adapter) {
                        // The last bytes of the last tensor.
                        try rewrite("\($0)/adapter_model.safetensors") { $0.replaceSubrange($0.count - 4..<$0.count, with: [0, 0, 0xc0, 0x7f]) }
                    }
                }
            ),
            ("another rank", ["expected shape [4"], { w in try w.copy(w.adapter) { try change("\($0)/adapter_config.json", "r", to: 4) } }),
            ("duplicate keys", ["adapter_config.json", "once"], { w in try w.copy(w.adapter) { try duplicateFirstKey(in: "\($0)/adapter_config.json") } }),
            ("another method", ["use_dora"], { w in try w.copy(w.adapter) { try change("\($0)/adapter_config.json", "use_dora", to: true) } }),
            ("an adapter of another model", ["adapter_model.safetensors", "expected"], { _ in Fixtures.path("parity/llama2/adapter") }),
        ]
        return damages.flatMap { name, words, adapter in
            [
                BadInput(name: "evaluate, \(name)", words: words) { w, _ in try w.evaluateCommand(w.pruned) + ["--adapter", adapter(w)] },
                BadInput(name: "recover, \(name)", words: words) { w, output in try w.recoverCommand(adapter: adapter(w), output: output) },
                BadInput(name: "train, \(name)", words: words) { w, output in
                    try w.trainCommand(w.pruned, output: output) + settings([("lora.init_adapter", adapter(w))])
                },
            ]
        }
    }()

    @Test(arguments: adapters) func badAdapterEndsInOneLine(_ input: BadInput) throws { try input.check() }

    static let plans: [BadInput] = [
        BadInput(name: "recover, an adapter of another plan", words: ["plan"]) { w, output in w.recoverCommand(pruned: w.otherPruned, output: output) },
        BadInput(name: "recover, a plan for another model", words: ["plan for this model"]) { w, output in
            w.recoverCommand(pruned: w.otherBasePruned, output: output)
        },
        BadInput(name: "recover, no plan", words: ["pruning_plan.json"]) { w, output in w.recoverCommand(pruned: w.base, output: output) },
        BadInput(name: "recover, duplicate keys in the plan", words: ["pruning_plan.json", "once"]) { w, output in
            try w.recoverCommand(pruned: w.copy(w.pruned) { try duplicateFirstKey(in: "\($0)/pruning_plan.json") }, output: output)
        },
        BadInput(name: "recover, missing model", words: ["expected a directory"]) { w, output in w.recoverCommand(model: "/nonexistent", output: output) },
        BadInput(name: "prune, a plan for another model", words: ["plan for this model"]) { w, output in
            w.pruneCommand(w.base, output: output) + settings([("pruning.plan", "\(w.otherBasePruned)/pruning_plan.json")])
        },
        BadInput(name: "train, a plan for another model", words: ["pruning_plan.json"]) { w, output in
            let swapped = try w.copy(w.pruned) { copy in
                try FileManager.default.removeItem(atPath: "\(copy)/pruning_plan.json")
                try FileManager.default.copyItem(atPath: "\(w.otherBasePruned)/pruning_plan.json", toPath: "\(copy)/pruning_plan.json")
            }
            return w.trainCommand(swapped, output: output)
        },
        BadInput(name: "prune, ratio 1", words: ["ratio"]) { w, output in w.pruneCommand(w.base, output: output) + ["--ratio", "1"] },
        BadInput(name: "prune, every layer kept", words: ["--keep-first"]) { w, output in
            w.pruneCommand(w.base, output: output) + ["--keep-first", "4"]
        },
        BadInput(name: "prune, a pruned model", words: ["prune the original"]) { w, output in w.pruneCommand(w.pruned, output: output) },
        BadInput(name: "inspect, truncated safetensors", words: ["model.safetensors"]) { w, _ in
            ["inspect", try w.copy(w.base) { try rewrite("\($0)/model.safetensors") { $0.removeLast($0.count / 2) } }]
        },
        BadInput(name: "inspect, duplicate keys", words: ["config.json", "once"]) { w, _ in
            ["inspect", "--json", try w.copy(w.base) { try duplicateFirstKey(in: "\($0)/config.json") }]
        },
        BadInput(name: "inspect, missing file", words: ["/nonexistent"]) { _, _ in ["inspect", "/nonexistent"] },
        BadInput(name: "bench, missing model", words: ["expected a directory"]) { _, _ in ["bench", "step", "--model", "/nonexistent"] },
    ]

    @Test(arguments: plans) func badPlanEndsInOneLine(_ input: BadInput) throws { try input.check() }

    /// Of several ranks one speaks.
    @Test(arguments: models.filter { $0.name.hasPrefix("train, ") || $0.name == "prune, NaN weight" || $0.name == "evaluate, wrong shape" })
    func oneLineFromManyRanks(_ input: BadInput) throws { try input.check(ranks: 2) }

    @Test(arguments: ["prune", "recover"]) func anExistingOutputStays(_ command: String) throws {
        let w = try BadInputWorkspace.shared.get()
        let output = try w.copy(w.adapter) { _ in }
        let before = try RunOutput(path: output).bytes("adapter_model.safetensors"), names = RunOutput(path: output).names
        let outcome = try CommandRun.run(command == "prune" ? w.pruneCommand(w.base, output: output) : w.recoverCommand(output: output))
        #expect(outcome.exitCode == 64 && outcome.ownErrorLines.count == 1, "\(outcome.standardError)")
        #expect(try RunOutput(path: output).names == names && RunOutput(path: output).bytes("adapter_model.safetensors") == before)
    }
}

import LoRAMEngine
import TestSupport
import Testing

@Suite struct RecipeLoadingTests {
    @Test func defaultsAreTheDocumentedOnes() throws {
        let recipe = try Recipe.load(file: nil)
        #expect(recipe.seed == 42)
        #expect(recipe.pruning.method == .stru && recipe.pruning.ratio == 0.65)
        #expect(recipe.pruning.keepFirst == 4 && recipe.pruning.keepLast == 2)
        #expect(recipe.pruning.calibrationSampleCount == 10 && recipe.pruning.calibrationLength == 64)
        #expect(recipe.lora.rank == 8 && recipe.lora.alpha == 16 && recipe.lora.dropout == 0.05 && !recipe.lora.rslora)
        #expect(recipe.data.template == .alpaca && recipe.data.length == 512 && !recipe.data.packing)
        #expect(recipe.batch == BatchRecipe() && recipe.batch.global == 128 && recipe.batch.micro == 4)
        #expect(recipe.optimizer.learningRate == 1e-3 && recipe.optimizer.betas == [0.9, 0.999] && recipe.optimizer.clipNorm == 1)
        #expect(recipe.schedule.kind == .cosine && recipe.schedule.warmupSteps == 100 && recipe.schedule.steps == 400)
        #expect(recipe.alignment.optimizer.learningRate == 5e-5 && recipe.alignment.schedule.steps == 1600)
        #expect(recipe.alignment.checkpoint.every == 200 && recipe.alignment.checkpoint.keep == 1)
        #expect(recipe.alignment.frozen == ["lm_head"] && recipe.alignment.data.template == .none)
        #expect(recipe.parallel.stages == .auto && recipe.parallel.groups == 8 && recipe.parallel.recomputeAhead)
        #expect(recipe.checkpoint.every == 50 && recipe.checkpoint.keep == 3)
        #expect(recipe.quantization.type == .nf4 && recipe.compute.type == .bf16 && recipe.recovery.merge && recipe.recovery.compress == .planes)
        #expect(recipe.watchdogSeconds == 600 && recipe.onNonfinite == .stop)
    }

    @Test func readsEverySection() throws {
        let recipe = try Recipe.load(
            yaml: """
                model: "/models/llama 2"   # a comment
                synthetic_seed: 18446744073709551615
                output: runs/x
                pruning: {method: rand, ratio: 0.85, keep_first: 1, keep_last: 1}
                lora:
                  rank: 16
                  targets: [q_proj, lm_head]
                data:
                  train:
                    - {path: a.jsonl, weight: 2, format: alpaca}
                    - path: 42
                  evaluation: [{name: alpaca, path: e.json}]
                  template: none
                batch:
                optimizer: {learning_rate: 1e-4, betas: [0.8, 0.95], clip_norm: null}
                parallel: {stages: 2, replicas: auto, pipeline: gpipe}
                alignment: {batch: {global: 8}, frozen: []}
                """)
        #expect(recipe.model == "/models/llama 2")
        #expect(recipe.syntheticSeed == .max)
        #expect(recipe.lora.targets == .value([.q, .lmHead]))
        #expect(recipe.data.train.map(\.path) == ["a.jsonl", "42"])
        #expect(recipe.data.train.map(\.weight) == [2, 1])
        #expect(recipe.data.evaluation.first?.name == "alpaca")
        #expect(recipe.batch == BatchRecipe())
        #expect(recipe.optimizer.learningRate == 1e-4 && recipe.optimizer.clipNorm == nil)
        #expect(recipe.parallel.stages.given == 2 && recipe.parallel.replicas.given == nil)
        #expect(recipe.alignment.batch.global == 8 && recipe.alignment.batch.micro == 4)
        #expect(recipe.alignment.optimizer.learningRate == 5e-5)
        #expect(recipe.alignment.frozen.isEmpty)
    }

    @Test func overridesChangeAndAdd() throws {
        let recipe = try Recipe.load(
            yaml: "data: {train: [{path: a}, {path: b}]}\nlora: {rank: 4}\n",
            overrides: [
                "lora.rank=32", "data.train.1.weight=0.5", "optimizer.learning_rate=2.5e-4", "lora.targets=[v_proj]",
                "output=runs/a=b", "data.evaluation=[{name: n, path: p}]", "optimizer.clip_norm=", "lora.rank=33",
            ])
        #expect(recipe.lora.rank == 33)
        #expect(recipe.data.train.map(\.weight) == [1, 0.5])
        #expect(recipe.optimizer.learningRate == 2.5e-4 && recipe.optimizer.clipNorm == nil)
        #expect(recipe.lora.targets == .value([.v]))
        #expect(recipe.output == "runs/a=b")
        #expect(recipe.data.evaluation.count == 1)
    }

    @Test(arguments: ["a: b", "x # y", "[1]", "true", "", "*a", "\"q\" 'r' \\", "t\tn\nu\u{1}\u{e9}\u{1f600}", "@", "{a: 1}"])
    func textOverridesAreTakenAsTheyAre(text: String) throws {
        if text.isEmpty {
            #expect(throws: RecipeError.self) { try Recipe.load(file: nil, overrides: [Recipe.override("model", text: text)]) }
        } else {
            #expect(try Recipe.load(file: nil, overrides: [Recipe.override("model", text: text)]).model == text)
        }
    }

    @Test(arguments: [
        ("learning_rate: 1", "learning_rate", "optimizer.learning_rate"), ("lora: {rnak: 8}", "lora.rnak", "lora.rank"),
        ("optimiser: {}", "optimiser", "optimizer"), ("lora:\n  learning_rate: 3", "lora.learning_rate", "optimizer.learning_rate"),
        ("data: {train: [{path: a, wieght: 2}]}", "data.train.0.wieght", "data.train.0.weight"),
        ("alignment: {schedule: {step: 3}}", "alignment.schedule.step", "alignment.schedule.steps"),
    ])
    func unknownKeysNameTheNearest(yaml: String, key: String, nearest: String) {
        #expect {
            try Recipe.load(yaml: yaml, name: "r.yaml")
        } throws: { error in
            guard case .unknownKey(key, nearest, let place)? = error as? RecipeError else { return false }
            return place.hasPrefix("r.yaml:") && (error as? RecipeError)?.exitCode == .usage
        }
    }

    @Test func errorsNameTheLine() {
        #expect(throws: RecipeError.outOfRange(key: "lora.rank", expected: "from 1 to 65536", found: "0", place: "r.yaml:4")) {
            try Recipe.load(yaml: "# x\nseed: 1\nlora:\n  rank: 0\n", name: "r.yaml")
        }
        #expect(throws: RecipeError.outOfRange(key: "lora.rank", expected: "from 1 to 65536", found: "-3", place: "--set lora.rank=-3")) {
            try Recipe.load(yaml: "lora: {rank: 8}", name: "r.yaml", overrides: ["lora.rank=-3"])
        }
    }

    @Test(arguments: [
        "lora: {rank: x}", "lora: {rank: 1.5}", "lora: {rank: '8'}", "lora: {rank: [8]}", "lora: 8", "lora: [1]", "seed: -1",
        "seed: 99999999999999999999", "optimizer: {learning_rate: nan}", "optimizer: {learning_rate: inf}",
        "optimizer: {learning_rate: 1e999}", "optimizer: {betas: [0.9]}", "optimizer: {betas: [0.9, 1.0]}", "optimizer: {eps: 0}",
        "lora: {dropout: 1}", "lora: {targets: []}", "lora: {targets: [q_proj, q_proj]}", "lora: {targets: [embed]}",
        "data: {train: x}", "data: {train: [{path: ''}]}", "data: {train: [{path: a, weight: 0}]}", "data: {train: [5]}",
        "data: {evaluation: [{name: a, path: b}, {name: a, path: c}]}", "pruning: {ratio: 1}", "pruning: {pattern: 8:4}",
        "pruning: {pattern: x}", "parallel: {stages: 0}", "parallel: {stages: some}", "watchdog_seconds: 0", "on_nonfinite: ignore",
        "- a\n- b", "just text", "batch: {global: 10, micro: 4}", "alignment: {batch: {global: 6}}", "compute: {type: f64}",
        "schedule: {steps: 0}", "checkpoint: {every: 0}", "model: {a: b}", "model: ''", "data: {shuffle: 1}",
    ])
    func badValuesAreBadInput(yaml: String) {
        #expect {
            try Recipe.load(yaml: yaml)
        } throws: { error in
            guard let error = error as? RecipeError else { return false }
            return error.exitCode == .badInput && !error.description.contains("\n")
        }
    }

    @Test(arguments: ["data: {train: [{weight: 1}]}", "data: {evaluation: [{path: a}]}"])
    func requiredKeysAreAskedFor(yaml: String) {
        #expect {
            try Recipe.load(yaml: yaml)
        } throws: { error in
            if case .missing? = error as? RecipeError { true } else { false }
        }
    }

    @Test(arguments: ["lora.rank", "=3", "lora..rank=3", ".=1", "lora.rank.x=3", "data.train.5.path=x", "lora.rank=[", "lora.rank={a: 1, a: 2}"])
    func badOverrides(text: String) {
        #expect {
            try Recipe.load(yaml: "lora: {rank: 8}\ndata: {train: [{path: a}]}", overrides: [text])
        } throws: { error in
            (error as? RecipeError)?.description.contains("--set") == true
        }
    }

    @Test func missingModelAndOutputAreNamed() throws {
        let recipe = try Recipe.load(file: nil)
        #expect(throws: RecipeError.self) { try recipe.requiredModel() }
        #expect(throws: RecipeError.self) { try recipe.requiredOutput() }
        #expect(try Recipe.load(file: nil, overrides: ["model=a", "output=b"]).requiredOutput() == "b")
    }

    @Test func readsFiles() throws {
        let directory = try TemporaryDirectory()
        try FileSystem.write("seed: 7\n", to: directory.path("r.yaml"))
        #expect(try Recipe.load(file: directory.path("r.yaml")).seed == 7)
        try FileSystem.write("", to: directory.path("empty.yaml"))
        #expect(try Recipe.load(file: directory.path("empty.yaml")).seed == 42)
        #expect { try Recipe.load(file: directory.path("none.yaml")) } throws: { error in
            (error as? RecipeError)?.exitCode == .badInput && "\(error)".contains("none.yaml")
        }
        #expect { try Recipe.load(file: directory.path) } throws: { ($0 as? RecipeError)?.exitCode == .badInput }
    }
}

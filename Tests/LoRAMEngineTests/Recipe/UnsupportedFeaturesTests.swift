import LoRAMEngine
import Testing

@Suite struct UnsupportedFeaturesTests {
    @Test(arguments: [
        ("parallel.chunks=2", "parallel.chunks"),
        ("evaluation.full_model=checkpoint", "evaluation.full_model"),
        ("alignment.evaluation.tasks=[{name: gsm8k, path: p}]", "alignment.evaluation.tasks"),
    ])
    func isRefusedInOneLine(override: String, key: String) {
        #expect {
            try Recipe.load(file: nil, overrides: [override])
        } throws: { error in
            guard case .unsupported(key, _, let supported)? = error as? RecipeError else { return false }
            return !supported.isEmpty && (error as? RecipeError)?.exitCode == .usage
        }
    }

    @Test(arguments: [
        "compute.recompute=none", "compute.weights=resident", "compute.weights=mapped", "compute.type=bf16", "compute.kernels=portable", "parallel.storage=shared", "parallel.storage=local", "parallel.pipeline=gpipe", "parallel.pipeline=zb-h1", "parallel.pipeline=interleaved", "parallel.coordinator=dedicated", "data.template=none", "data.template=llama-3", "alignment.data.template=chatml", "recovery.fill=normal",
        "lora.mask=recovery", "lora.mask=training", "pruning.method=stru", "pruning.method=semi", "pruning.method=unst", "pruning.score=wanda",
        "pruning.importance=param_mix", "pruning.aggregation=max", "pruning.grouping=llm_pruner", "pruning.iterations=2",
        "pruning.calibration.path=x", "data.train=[{path: a, format: input_ids}]", "data.train=[{path: a, format: messages}]", "parallel.reduction=fast",
        "evaluation.tasks=[{name: gsm8k, path: p, fewshot: f, shots: 8, limit: 3}]",
    ])
    func isAccepted(override: String) throws {
        _ = try Recipe.load(file: nil, overrides: [override])
    }
}

import LoRAMEngine
import Testing

@Suite struct UnsupportedFeaturesTests {
    @Test(arguments: [
        ("parallel.pipeline=interleaved", "parallel.pipeline"),
        ("parallel.pipeline=zb-h1", "parallel.pipeline"), ("parallel.chunks=2", "parallel.chunks"),
        ("parallel.coordinator=dedicated", "parallel.coordinator"), ("parallel.storage=local", "parallel.storage"),
        ("data.template=llama-3", "data.template"),
        ("alignment.data.template=chatml", "alignment.data.template"), ("evaluation.full_model=checkpoint", "evaluation.full_model"),
        ("evaluation.tasks=[{name: gsm8k, path: p}]", "evaluation.tasks"),
        ("alignment.evaluation.tasks=[{name: gsm8k, path: p}]", "alignment.evaluation.tasks"),
        ("data.train=[{path: a}, {path: b, format: messages}]", "data.train format"),
        ("data.evaluation=[{name: n, path: b, format: openorca}]", "data.evaluation format"),
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
        "compute.recompute=none", "compute.weights=resident", "compute.weights=mapped", "compute.type=bf16", "compute.kernels=portable", "parallel.storage=shared", "parallel.pipeline=gpipe", "data.template=none", "recovery.fill=normal",
        "lora.mask=recovery", "lora.mask=training", "pruning.method=stru", "pruning.method=semi", "pruning.method=unst", "pruning.score=wanda",
        "pruning.importance=param_mix", "pruning.aggregation=max", "pruning.grouping=llm_pruner", "pruning.iterations=2",
        "pruning.calibration.path=x", "data.train=[{path: a, format: input_ids}]", "parallel.reduction=fast",
    ])
    func isAccepted(override: String) throws {
        _ = try Recipe.load(file: nil, overrides: [override])
    }
}

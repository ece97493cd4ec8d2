import LoRAMEngine
import Testing

@Suite struct UnsupportedFeaturesTests {
    @Test(arguments: [
        ("recovery.merge=true", "recovery.merge"), ("parallel.pipeline=interleaved", "parallel.pipeline"),
        ("parallel.pipeline=zb-h1", "parallel.pipeline"), ("parallel.chunks=2", "parallel.chunks"),
        ("parallel.coordinator=dedicated", "parallel.coordinator"), ("parallel.storage=local", "parallel.storage"),
        ("lora.mask=recovery", "lora.mask"), ("lora.mask=training", "lora.mask"), ("pruning.method=stru", "pruning.method"),
        ("pruning.method=semi", "pruning.method"), ("pruning.method=unst", "pruning.method"), ("pruning.score=wanda", "pruning.score"),
        ("pruning.importance=param_mix", "pruning.importance"), ("pruning.aggregation=max", "pruning.aggregation"),
        ("pruning.grouping=llm_pruner", "pruning.grouping"), ("pruning.iterations=2", "pruning.iterations"),
        ("pruning.calibration.path=x", "pruning.calibration.path"), ("data.template=llama-3", "data.template"),
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
        "data.train=[{path: a, format: input_ids}]", "parallel.reduction=fast",
    ])
    func isAccepted(override: String) throws {
        _ = try Recipe.load(file: nil, overrides: [override])
    }
}

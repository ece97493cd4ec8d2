import LoRAMEngine

extension PlanRun {
    public var json: JSONValue {
        let adapter = model.adapterParameters(lora)
        var json: JSONValue = [
            "model": .string(recipe.model ?? ""), "method": .string(model.method), "ratio": .double(model.ratio),
            "pattern": model.pattern.map { .string($0) } ?? .null,
            "quantization": model.quantizer == nil ? "none" : "nf4",
            "original_parameters": .integer(model.originalParameters), "pruned_parameters": .integer(model.prunedParameters),
            "reduction": .double(model.reduction), "paper_parameters": .integer(model.paperParameters), "paper_bytes": .integer(model.paperBytes),
            "stored_bytes": .integer(model.storedBytes), "original_bytes": .integer(model.originalBytes),
            "lora": [
                "rank": .integer(lora.rank), "targets": .array(lora.targets.map { .string($0.rawValue) }), "parameters": .integer(adapter.trained),
                "recovered_parameters": .integer(adapter.recovered), "gradient_bytes": .integer(adapter.trained * 4),
            ],
            "phase": .string(phase.rawValue), "weights": weights.quantizer == nil ? "none" : "nf4",
        ]
        for member in grid.json.objectMembers ?? [] { json[member.key] = member.value }
        json["alignment"] = [
            "steps": .integer(recipe.alignment.schedule.steps), "tokens": .integer(alignmentTokens), "flops": .double(alignmentFlops),
            "seconds": .double(alignmentSeconds),
        ]
        if let scoring { json["scoring"] = scoring.json }
        if let search {
            json["cluster"] = [
                "nodes": .integer(search.cluster.nodes), "cores": .integer(search.cluster.cores),
                "memory_bytes": .integer(search.cluster.memoryByteCount), "ranks_per_node": .integer(search.best.ranksPerNode),
                "node_bytes": .integer(search.best.nodeByteCount),
            ]
            json["alternatives"] = .array(search.alternatives.map(\.json))
        }
        return json
    }

    /// Of the alignment, at the rate of all ranks together and this grid's bubble.
    var alignmentSeconds: Double {
        alignmentFlops / (grid.gigaflopsPerCore * 1e9 * Double(grid.speed.coresPerRank * grid.layout.dims.computeRanks) * (1 - grid.bubble))
    }
}

extension GridPlan {
    var json: JSONValue {
        let settings = layout.settings
        return [
            "grid": [
                "stages": .integer(layout.dims.stages), "replicas": .integer(layout.dims.replicas), "ranks": .integer(layout.dims.computeRanks),
                "micro": .integer(settings.batch.micro), "global": .integer(settings.batch.global), "length": .integer(settings.data.length),
                "micro_batches": .integer(layout.schedule.microBatchCount), "pipeline": .string(settings.parallel.pipeline.rawValue),
                "recompute": .string(settings.recomputation.rawValue), "recompute_ahead": .bool(isRecomputingAhead),
            ],
            "stages": .array(stages.map(\.json)),
            "partition_efficiency": .double(partitionEfficiency), "equal_layers_efficiency": .double(equalLayersEfficiency),
            "bubble": .double(bubble), "equal_stages_bubble": .double(equalStagesBubble), "step_seconds": .double(stepSeconds),
            "step_flops": .double(stepFlops), "tokens_per_second": .double(tokensPerSecond),
            "peak_rank_bytes": .integer(stages.map(\.memory.total).max() ?? 0),
            "speed": [
                "gflops_per_core": .double(gigaflopsPerCore), "gflops_origin": .string(speed.ratesOrigin.rawValue),
                "gflops_by_action": [
                    "forward": .double(speed.rates.forward), "recompute": .double(speed.rates.recompute), "backward": .double(speed.rates.backward),
                    "head": .double(speed.rates.head),
                ],
                "cores_per_rank": .integer(speed.coresPerRank), "ranks_per_node": .integer(speed.ranksPerNode),
                "bandwidth_bytes_per_second": .double(speed.bandwidth), "bandwidth_origin": .string(speed.bandwidthOrigin.rawValue),
            ],
        ]
    }

    var isRecomputingAhead: Bool { layout.schedule.actions.contains { $0.contains { $0.kind == .recompute } } }
}

extension GridPlan.Stage {
    var json: JSONValue {
        [
            "stage": .integer(index), "first_layer": .integer(ranges[0].layers.lowerBound), "layers": .integer(ranges.reduce(0) { $0 + $1.layers.count }),
            "chunks": .integer(ranges.count), "embedding": .bool(ranges.contains(where: \.isFirst)), "head": .bool(ranges.contains(where: \.isLast)), "weight_parameters": .integer(weightParameters),
            "trained_parameters": .integer(trainedParameters), "weights_bytes": .integer(memory.frozen), "trained_bytes": .integer(memory.parameters),
            "optimizer_bytes": .integer(memory.moments), "gradient_bytes": .integer(memory.gradients), "activation_bytes": .integer(memory.activations),
            "scratch_bytes": .integer(memory.scratch), "message_bytes": .integer(memory.messages), "process_bytes": .integer(memory.process.program),
            "tokenizer_bytes": .integer(memory.process.tokenizer), "text_bytes": .integer(memory.process.texts),
            "total_bytes": .integer(memory.total), "micro_batches_in_flight": .integer(slots), "flops": .double(flops),
            "compute_seconds": .double(computeSeconds), "boundary_bytes": .integer(boundaryBytes), "all_reduce_bytes": .integer(allReduceBytes),
            "exposed_all_reduce_seconds": .double(exposedReduceSeconds),
        ]
    }
}

extension GridSearch.Candidate {
    var json: JSONValue {
        [
            "stages": .integer(dims.stages), "replicas": .integer(dims.replicas), "ranks_per_node": .integer(ranksPerNode), "micro": .integer(micro),
            "fits": .bool(fits), "node_bytes": .integer(nodeByteCount), "bubble": .double(plan.bubble), "step_seconds": .double(plan.stepSeconds),
            "tokens_per_second": .double(plan.tokensPerSecond),
        ]
    }
}

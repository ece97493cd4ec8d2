import Foundation
import LoRAMEngine

extension PlanRun: CustomStringConvertible {
    public var description: String {
        let adapter = model.adapterParameters(lora), settings = grid.layout.settings, dims = grid.layout.dims
        let method = model.ratio == 0 ? "whole" : "\(model.method) \(model.pattern ?? Formatting.fixed(model.ratio, decimals: 2))"
        var lines: [(String, String)] = [
            ("model", "\(recipe.model ?? ""), \(method)\(model.quantizer == nil ? "" : ", nf4")"),
            ("parameters", "\(Formatting.grouped(model.prunedParameters)) of \(Formatting.grouped(model.originalParameters)), \(times(model.reduction)) less as the paper counts"),
            ("bytes", "paper \(gib(model.paperBytes)), stored \(gib(model.storedBytes)), original \(gib(model.originalBytes))"),
            (
                "lora",
                "rank \(lora.rank) on \(lora.targets.count == LinearSite.allCases.count ? "all eight sites" : lora.targets.map(\.rawValue).joined(separator: " ")): "
                    + "\(Formatting.grouped(adapter.trained)) parameters, recovered \(Formatting.grouped(adapter.recovered))"
            ),
            (
                phase.rawValue,
                "\(dims.stages) stages x \(dims.replicas) replicas, \(settings.parallel.pipeline.rawValue), recompute \(settings.recomputation.rawValue)"
                    + (grid.isRecomputingAhead ? " ahead" : "") + ", \(grid.layout.schedule.microBatchCount) micro-batches of \(settings.batch.micro) x \(settings.data.length) tokens"
                    + (weights.quantizer == nil || model.quantizer != nil ? "" : "; weights in nf4, quantization.type's default")
            ),
        ]
        if let search {
            lines.append((
                "cluster",
                "\(search.cluster.nodes) nodes, \(search.best.ranksPerNode) rank\(search.best.ranksPerNode == 1 ? "" : "s") on each with \(grid.speed.coresPerRank) cores; "
                    + "\(Formatting.bytes(search.best.nodeByteCount)) of \(Formatting.bytes(search.cluster.memoryByteCount)) on the fullest"
            ))
        }
        let after: [(String, String)] = [
            ("balance", "\(percent(grid.partitionEfficiency)) (equal numbers of layers: \(percent(grid.equalLayersEfficiency)))"),
            ("bubble", "\(percent(grid.bubble)) (of equal stages: \(percent(grid.equalStagesBubble)))"),
            (
                "step",
                "\(Formatting.seconds(grid.stepSeconds)), \(Formatting.count(grid.tokensPerSecond)) tokens/s, \(Formatting.count(grid.stepFlops))FLOP: "
                    + "\(Formatting.fixed(grid.gigaflopsPerCore, decimals: 1)) GFLOP/s a core (\(grid.speed.ratesOrigin.rawValue)) x \(grid.speed.coresPerRank), "
                    + "\(Formatting.fixed(grid.speed.bandwidth / 1e9, decimals: 2)) GB/s between nodes (\(grid.speed.bandwidthOrigin.rawValue))"
            ),
            (
                "alignment",
                "\(Formatting.count(Double(alignmentTokens)))tokens in \(recipe.alignment.schedule.steps) steps: \(Formatting.count(alignmentFlops / 1e12)) TFLOP, "
                    + "\(Formatting.seconds(alignmentSeconds)) on these ranks"
            ),
        ]
        var parts = [block(lines), stageTable.text, block(after + (scoring.map { [("scoring", $0.text)] } ?? []))]
        if let search, !search.alternatives.isEmpty { parts.append("alternatives\n" + Self.table(search).text) }
        return parts.joined(separator: "\n\n")
    }

    private var stageTable: TextTable {
        var table = TextTable([
            "stage", "layers", "weights", "trained", "optimizer", "gradients", "activations", "scratch", "messages", "process", "total", "sends", "all-reduce", "compute",
        ])
        for stage in grid.stages {
            let memory = stage.memory
            table.add(
                ["\(stage.index)", stage.layersText]
                    + [memory.frozen, memory.parameters, memory.moments, memory.gradients, memory.activations, memory.scratch, memory.messages, memory.process.total, memory.total,
                        stage.boundaryBytes, stage.allReduceBytes].map { Formatting.bytes($0) }
                    + [Formatting.seconds(stage.computeSeconds)])
        }
        return table
    }

    private static func table(_ search: GridSearch) -> TextTable {
        var table = TextTable(["stages", "replicas", "ranks a node", "micro", "step", "tokens/s", "bubble", "fullest node", ""])
        for candidate in search.alternatives {
            table.add([
                "\(candidate.dims.stages)", "\(candidate.dims.replicas)", "\(candidate.ranksPerNode)", "\(candidate.micro)",
                Formatting.seconds(candidate.plan.stepSeconds), Formatting.count(candidate.plan.tokensPerSecond),
                Formatting.fixed(candidate.plan.bubble * 100, decimals: 1) + " %", Formatting.bytes(candidate.nodeByteCount),
                candidate.fits ? "fits" : "too large",
            ])
        }
        return table
    }

    private func block(_ lines: [(String, String)]) -> String {
        lines.map { $0.0.padding(toLength: 12, withPad: " ", startingAt: 0) + $0.1 }.joined(separator: "\n")
    }

    private func gib(_ bytes: Int) -> String { Formatting.fixed(Double(bytes) / Double(1 << 30), decimals: 2) + " GiB" }
    private func percent(_ share: Double) -> String { Formatting.fixed(share * 100, decimals: 1) + " %" }
    private func times(_ factor: Double) -> String { Formatting.fixed(factor, decimals: 2) + "x" }
}

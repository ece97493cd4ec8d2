import LoRAMEngine

/// What a rank holds while it prunes, counted from shapes, so that `auto` can choose a grid.
struct PruningMemory {
    let config: LlamaConfig
    let pruning: PruningRecipe
    let score: WeightScore
    let calibration: CalibrationData
    let job: Job
    let model: ModelReference
    let process: ProcessMemory

    /// Of each stage of a grid.
    func stages(_ dims: ParallelDims, partition: Partition) -> [StageMemory] {
        (0..<dims.stages).map { stage in
            let layer = partition.layers[stage].first ?? 0
            var memory = StageMemory(
                config: config, range: StageRange(layers: layer..<layer + 1, isFirst: false, isLast: stage == dims.stages - 1),
                training: .dense(frozen: [NamePattern("*norm*"), NamePattern(WeightName.lmHead)]),
                capacity: StageCapacity(tokens: max(calibration.longest, 1), positions: max(calibration.longest, 1), recomputation: .none),
                weights: model.weightBytes, sharesFrozen: true, kernels: job.kernels, workers: job.pool.threadCount, process: process)
            memory.moments = 0
            // The activations at layer boundaries: for a backward pass of each layer, else of one.
            let boundary = (calibration.sequences.count + dims.replicas - 1) / dims.replicas * calibration.longest * config.hiddenSize * 4
            if pruning.method.isStructured {
                memory.gradients = memory.parameters * (LayerImportance.Settings(pruning).needsSquares ? 3 : 1)
                memory.activations += boundary * (partition.layers[stage].count + 1)
            } else {
                let groups = (try? SparseWalk.groups(sampleCount: calibration.sequences.count, parallel: job.recipe.parallel, replicas: dims.replicas))
                let buffers = (groups?.groupsPerReplica ?? 1).trailingZeroBitCount + 1
                memory.gradients = 4 * buffers * InputGroup.allCases.reduce(0) { $0 + score.momentCount(inputs: $1.inputCount(config, layer: layer)) }
                memory.activations += score.needsCalibration ? boundary : 0
            }
            return memory
        }
    }
}

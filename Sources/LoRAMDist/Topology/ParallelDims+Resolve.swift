extension ParallelDims {
    /// The grid for a job of `worldSize` ranks where `stages`, `replicas` or both are left open (nil = `auto`).
    ///
    /// If one is given, the other follows. If both are open, the fewest stages win (replicas have no bubble) for which the number
    /// of replicas is one that `allowsReplicas` accepts (the gradient grouping decides) and a stage `fits` a rank's memory.
    /// Throws `TopologyError` with a line that says what would fit.
    public static func resolve(
        stages: Int?, replicas: Int?, hasDedicatedCoordinator: Bool, worldSize: Int, layers: Int,
        allowsReplicas: (Int) -> Bool, fits: (ParallelDims) -> Bool
    ) throws(TopologyError) -> ParallelDims {
        if let stages, stages < 1 { throw .notPositive(key: "parallel.stages", found: stages) }
        if let replicas, replicas < 1 { throw .notPositive(key: "parallel.replicas", found: replicas) }
        if let stages, stages > layers { throw .tooManyStages(stages: stages, layers: layers) }
        if let stages, let replicas {
            let dims = try ParallelDims(stages: stages, replicas: replicas, hasDedicatedCoordinator: hasDedicatedCoordinator)
            try dims.validate(worldSize: worldSize)
            return dims
        }
        let computeRanks = worldSize - (hasDedicatedCoordinator ? 1 : 0)
        guard computeRanks > 0 else {
            throw .worldSizeMismatch(stages: stages ?? 1, replicas: replicas ?? 1, dedicated: true, found: worldSize)
        }
        if let given = stages ?? replicas {
            let key = stages != nil ? "parallel.stages" : "parallel.replicas"
            guard computeRanks.isMultiple(of: given) else {
                throw .notDivisible(key: key, given: given, computeRanks: computeRanks, dedicated: hasDedicatedCoordinator)
            }
            let other = computeRanks / given
            let derivedStages = stages ?? other
            guard derivedStages <= layers else { throw .tooManyStages(stages: derivedStages, layers: layers) }
            return try ParallelDims(
                stages: derivedStages, replicas: replicas ?? other, hasDedicatedCoordinator: hasDedicatedCoordinator)
        }
        var isAllowed = false
        for stages in 1...computeRanks where computeRanks.isMultiple(of: stages) && stages <= layers {
            guard allowsReplicas(computeRanks / stages) else { continue }
            isAllowed = true
            let dims = try ParallelDims(
                stages: stages, replicas: computeRanks / stages, hasDedicatedCoordinator: hasDedicatedCoordinator)
            if fits(dims) { return dims }
        }
        throw .noGrid(
            computeRanks: computeRanks, layers: layers,
            reason: isAllowed ? "a stage exceeds the memory of a rank" : "the number of replicas must share the gradient groups")
    }
}
